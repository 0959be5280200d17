// Talks JSON to the box. Owns requests and their problems; must not touch the page.
// @ts-check

/** A problem document (RFC 9457); `code` is stable and has a text in every language. */
export class Problem extends Error {
  /** @param {string} code @param {Record<string, any>} [more] */
  constructor(code, more = {}) {
    super(code);
    this.code = code;
    this.more = more;
  }
}

const TIMEOUT_MS = 15_000;

/**
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {object} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>} the parsed answer; null where there is none
 */
export async function request(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Problem("unreachable");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(answer.code || "internal-error", answer);
  return answer;
}

/** @param {string} path */
export const get = (path) => request("GET", path);

/**
 * An order: with a key of its own, so that it is carried out once however often it is sent.
 * @param {string} path @param {object} body
 */
export const order = (path, body) =>
  request("POST", path, body, { "Idempotency-Key": newKey() });

/** 128 random bits; `crypto.randomUUID` exists only on HTTPS and localhost. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
