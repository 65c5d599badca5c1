/** Client of the service's API: JSON requests and responses; problem details become errors. */

export const TIME_ZONE_HEADER = "X-Onionskin-Timezone";

/** A refused request, or an unreachable service; `code` is stable. */
export class Problem extends Error {
  constructor({ code = "away", detail = "", status = 0 } = {}) {
    super(detail || "The service cannot be reached.");
    this.code = code;
    this.status = status;
  }
}

/**
 * @param {object} credentials see `keys.js`
 * @param {(alive: boolean) => void} onReachable called after each request: whether the service answered
 */
export function createApi(credentials, onReachable) {
  let timeZone = null;

  async function send(method, path, { body, raw, headers = {}, signal } = {}) {
    const zone = timeZone ? { [TIME_ZONE_HEADER]: timeZone } : {};
    const allHeaders = { ...zone, ...headers, ...credentials.headers() };
    if (body !== undefined) allHeaders["Content-Type"] = "application/json";
    try {
      const response = await fetch(path, {
        method, signal, headers: allHeaders, body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
        cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      });
      onReachable(true);
      return response;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      onReachable(false);
      throw new Problem();
    }
  }

  /** Return the response; on a 401, ask for a key and retry. */
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
    /** The time zone that requests name; null for none. */
    setTimeZone: (name) => { timeZone = name; },
  };
}

/** The path of a user's resource. */
export function of(user, ...parts) {
  return ["/v1/users", user, ...parts].map((part, index) => (index ? encodeURIComponent(part) : part)).join("/");
}

async function problemOf(response) {
  try {
    return new Problem({ status: response.status, ...(await response.json()) });
  } catch {
    return new Problem({ status: response.status, code: "unreadable", detail: `The service answered ${response.status}.` });
  }
}
