// The WebSocket of one world: commands go out and are answered, news and pictures come in.

const HEADER_BYTES = 12;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 8000;
const PING_MS = 4000;

export class Link extends EventTarget {
  #world;
  #socket = null;
  #waiting = new Map();
  #nextRef = 1;
  #retry = FIRST_RETRY_MS;
  #closed = false;
  #pings = null;
  roundTrip = 0;

  constructor(world) {
    super();
    this.#world = world;
  }

  open() {
    this.#closed = false;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/worlds/${this.#world}/live`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#hear(JSON.parse(data)) : this.#see(data));
    socket.onclose = (event) => this.#lost(event);
    this.#socket = socket;
    this.#pings = setInterval(() => this.#ping(), PING_MS);
  }

  close() {
    this.#closed = true;
    clearInterval(this.#pings);
    this.#socket?.close();
  }

  // The answer to a command. Rejects with the server's sentence.
  ask(type, fields = {}) {
    const ref = this.#nextRef++;
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("The server is out of reach. Trying again …"));
        return;
      }
      this.#waiting.set(ref, { resolve, reject });
      this.#socket.send(JSON.stringify({ type, ref, ...fields }));
    });
  }

  tell(type, fields = {}) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, ...fields }));
  }

  #ping() {
    const start = performance.now();
    this.ask("ping").then(() => { this.roundTrip = performance.now() - start; }, () => {});
  }

  #hear(message) {
    if (message.type === "hello") {
      this.#retry = FIRST_RETRY_MS;
      this.#ping();
    }
    const waiting = this.#waiting.get(message.ref);
    if (waiting) {
      this.#waiting.delete(message.ref);
      if (message.type === "refused") waiting.reject(new Error(message.error.message));
      else waiting.resolve(message);
      return;
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #see(data) {
    const view = new DataView(data);
    this.dispatchEvent(new CustomEvent("picture", {
      detail: { number: view.getUint32(4, true), block: view.getUint32(8, true), blob: new Blob([new Uint8Array(data, HEADER_BYTES)], { type: "image/jpeg" }) },
    }));
  }

  #lost(event) {
    clearInterval(this.#pings);
    for (const { reject } of this.#waiting.values()) reject(new Error("The connection was lost."));
    this.#waiting.clear();
    if (this.#closed) return;
    const isFinal = event.code >= 4400 && event.code < 4500;
    this.dispatchEvent(new CustomEvent("lost", { detail: { isFinal, code: event.code } }));
    if (isFinal) return;
    setTimeout(() => { if (!this.#closed) this.open(); }, this.#retry);
    this.#retry = Math.min(2 * this.#retry, LONGEST_RETRY_MS);
  }
}
