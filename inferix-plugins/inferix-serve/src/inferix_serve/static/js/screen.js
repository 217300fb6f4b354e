// Where a world is seen: pictures from the WebSocket at once, video over WebRTC as soon as it flows.

import { find } from "./dom.js";
import { VideoLink } from "./video.js";

const GLOW_MS = 400;
const MAX_DECODING = 12;

export class Screen {
  #link;
  #canvas;
  #video;
  #glow;
  #badge;
  #videoLink;
  #timer;
  #decoding = 0;
  #drawn = Promise.resolve();
  #pane;
  transport = "pictures";

  constructor(pane, link, { webrtc }) {
    this.#pane = pane;
    this.#link = link;
    this.#canvas = find(".picture", pane);
    this.#video = find(".video", pane);
    this.#glow = find(".glow", pane).getContext("2d", { alpha: false });
    this.#badge = find(".transport", pane);
    this.#videoLink = new VideoLink(link, this.#video);
    this.#timer = setInterval(() => this.#shine(), GLOW_MS);
    this.#badge.onclick = () => (this.transport === "video" ? this.usePictures("You chose pictures.") : this.useVideo());
    this.webrtc = webrtc;
    link.addEventListener("picture", ({ detail }) => this.#draw(detail));
  }

  // Begins with pictures, which are there at once, and goes over to video.
  start() {
    this.usePictures("");
    if (this.webrtc) this.useVideo();
    else this.#say("Pictures", "The server sends no WebRTC: pictures over WebSocket.");
  }

  async useVideo() {
    this.#say("Connecting …", "Trying WebRTC; pictures over WebSocket until then.");
    try {
      const codec = await this.#videoLink.connect(() => this.usePictures("WebRTC was lost: pictures over WebSocket."));
      this.transport = "video";
      this.#video.hidden = false;
      this.#link.tell("watch", { pictures: false });
      this.#say(`WebRTC · ${codec}`, "Video over WebRTC. Press for pictures over WebSocket.");
    } catch (error) {
      this.usePictures(`WebRTC cannot connect (${error.message}): pictures over WebSocket.`);
    }
  }

  usePictures(why) {
    this.transport = "pictures";
    this.#videoLink.close();
    this.#video.hidden = true;
    this.#link.tell("watch", { pictures: true });
    this.#say("Pictures", why || "Pictures over WebSocket.");
  }

  // The last frame as it is, e.g. for a branch that has none yet.
  copyTo(other) {
    const source = this.#source();
    if (source) other.#paint(source);
  }

  close() {
    clearInterval(this.#timer);
    this.#videoLink.close();
  }

  #say(text, why) {
    this.#badge.textContent = text;
    this.#badge.title = why;
    this.#badge.setAttribute("aria-label", `${text}. ${why}`);
    this.#pane.dataset.transport = this.transport;
    this.#pane.dispatchEvent(new CustomEvent("transport", { detail: why, bubbles: true }));
  }

  // Pictures are decoded side by side and may be ready in any order; they are shown in their own.
  #draw(picture) {
    if (this.#decoding > MAX_DECODING) return; // a slow device shows fewer pictures rather than old ones
    this.#decoding += 1;
    const decoded = createImageBitmap(picture.blob);
    decoded.catch(() => {}); // looked at in its turn
    this.#drawn = this.#drawn.then(() => this.#show(decoded, picture));
  }

  async #show(decoded, { number, block }) {
    try {
      const bitmap = await decoded;
      this.#paint(bitmap);
      bitmap.close();
      this.#pane.dataset.frame = number;
      this.#pane.dataset.block = block;
      this.#pane.dispatchEvent(new CustomEvent("frame", { detail: { number, block } }));
    } catch {
      // a damaged picture is passed over; the next one comes in a moment
    } finally {
      this.#decoding -= 1;
    }
  }

  #paint(image) {
    const width = image.width || image.videoWidth;
    const height = image.height || image.videoHeight;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#canvas.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
    find(".glass", this.#pane).style.setProperty("--aspect", `${width} / ${height}`);
  }

  #source() {
    if (this.transport === "video" && this.#video.videoWidth) return this.#video;
    return this.#canvas.width > 1 ? this.#canvas : null;
  }

  #shine() {
    const source = this.#source();
    if (source && !document.hidden) this.#glow.drawImage(source, 0, 0, 16, 16);
  }
}
