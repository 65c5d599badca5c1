/** The service's API: JSON in, JSON out, problems as errors. */

/** What the service refused, or that it is away; `code` is stable. */
export class Problem extends Error {
  constructor({ code = "away", detail = "", status = 0 } = {}) {
    super(detail || "The service cannot be reached.");
    this.code = code;
    this.status = status;
  }
}

/**
 * @param {object} credentials see `keys.js`
 * @param {(alive: boolean) => void} told whether the service answers
 */
export function createApi(credentials, told) {
  async function send(method, path, { body, raw, headers = {}, signal } = {}) {
    const sent = { ...headers, ...credentials.headers() };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    try {
      const response = await fetch(path, {
        method, signal, headers: sent, body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
        cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      });
      told(true);
      return response;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      told(false);
      throw new Problem();
    }
  }

  /** The response itself; asks for a key where one is wanted. */
  async function respond(method, path, options) {
    const before = credentials.value();
    const response = await send(method, path, options);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    if (credentials.value() === before) await credentials.ask(before !== null);
    return respond(method, path, options);
  }

  async function json(method, path, options) {
    return (await respond(method, path, options)).json();
  }

  return {
    respond,
    get: (path, options) => json("GET", path, options),
    post: (path, body, options) => json("POST", path, { body, ...options }),
    patch: (path, body) => json("PATCH", path, { body }),
    remove: (path) => json("DELETE", path),
  };
}

/** The path of something of a user's. */
export function of(user, ...parts) {
  return ["/v1/users", user, ...parts].map((one, place) => (place ? encodeURIComponent(one) : one)).join("/");
}

async function problemOf(response) {
  try {
    return new Problem({ status: response.status, ...(await response.json()) });
  } catch {
    return new Problem({ status: response.status, code: "unreadable", detail: `The service answered ${response.status}.` });
  }
}
