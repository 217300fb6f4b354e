// REST. Refusals become errors with the server's own sentence.

export class Refused extends Error {
  constructor(status, { code, message }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (response.status === 401) location.assign("/login");
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refused(response.status, answer.error ?? { code: "http", message: `The server answered ${response.status}.` });
  }
  return answer;
}

export const api = {
  server: () => ask("GET", "/v1/server"),
  worlds: () => ask("GET", "/v1/worlds"),
  create: (options) => ask("POST", "/v1/worlds", options),
  close: (world) => ask("DELETE", `/v1/worlds/${world}`),
  saved: () => ask("GET", "/v1/saved"),
  removeSaved: (saved) => ask("DELETE", `/v1/saved/${saved}`),
};
