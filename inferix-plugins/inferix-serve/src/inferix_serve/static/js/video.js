// A world over WebRTC. The offer and its answer travel over the world's WebSocket.

const GATHER_MS = 1000;
const CONNECT_MS = 5000;

export class VideoLink {
  #connection = null;
  #link;
  #video;

  constructor(link, video) {
    this.#link = link;
    this.#video = video;
  }

  // Resolves when the first frame is on the screen; rejects where that cannot be.
  async connect(onLost) {
    if (!("RTCPeerConnection" in window)) throw new Error("this browser has no WebRTC");
    const connection = new RTCPeerConnection();
    this.#connection = connection;
    const shown = new Promise((resolve, reject) => {
      connection.ontrack = ({ track, streams }) => {
        this.#video.srcObject = streams[0] ?? new MediaStream([track]);
        const done = () => resolve();
        if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(done);
        else this.#video.onplaying = done;
        this.#video.play().catch(() => {});
      };
      connection.onconnectionstatechange = () => {
        if (!["failed", "closed", "disconnected"].includes(connection.connectionState)) return;
        reject(new Error("the connection failed"));
        if (connection === this.#connection) onLost();
      };
    });
    shown.catch(() => {});
    connection.addTransceiver("video", { direction: "recvonly" });
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);
    const { sdp } = await this.#link.ask("offer", { sdp: connection.localDescription.sdp });
    await connection.setRemoteDescription({ type: "answer", sdp });
    await within(CONNECT_MS, shown);
    return codecOf(sdp);
  }

  close() {
    const connection = this.#connection;
    this.#connection = null;
    if (!connection) return;
    connection.close();
    this.#video.srcObject = null;
    this.#link.tell("hang-up");
  }
}

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function within(limit, promise) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("no frame came")), limit));
  return Promise.race([promise, late]);
}

const codecOf = (sdp) => /a=rtpmap:\d+ (VP8|H264)\//i.exec(sdp)?.[1]?.toUpperCase() ?? "video";
