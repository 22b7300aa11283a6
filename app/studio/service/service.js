/**
 * Requests to the service: with the API key where one is needed, and with its errors as one kind
 * of exception. Addresses are relative to the page.
 */

import { parseExactly } from "./exact-json.js";

const KEY = "sian-api-key";
/** What an API key is made of, as a regular expression: what a header can carry, without blanks. */
export const KEY_PATTERN = "[\\x21-\\x7e]+";
const SENDABLE = new RegExp(`^${KEY_PATTERN}$`);
const NO_ANSWER = "unreachable";
// What a proxy answers, in words of its own, while the service behind it restarts.
const AWAY = new Set([502, 503, 504]);

/** What the service, or the way to it, says was wrong. */
export class ServiceError extends Error {
  name = "ServiceError";

  /**
   * @param {string} code stable name of the error, see words.js
   * @param {string} detail
   * @param {{status?: number, retryAfterS?: number | null, requestId?: string | null}} [more]
   */
  constructor(code, detail, { status = 0, retryAfterS = null, requestId = null } = {}) {
    super(detail);
    this.code = code;
    this.detail = detail;
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.requestId = requestId;
  }
}

export class Service {
  #askForKey;
  #asking = null;

  /** @param {(refused: boolean) => Promise<string | null>} askForKey an API key from the user;
   *    refused: there was one, and the service does not know it */
  constructor(askForKey) {
    this.#askForKey = askForKey;
  }

  /** Whether requests need a key, which no plain link sends. @returns {boolean} */
  get hasKey() {
    return storedKey() !== null;
  }

  /**
   * @param {string} path
   * @param {RequestInit} [options]
   * @returns {Promise<Response>} whose status says success
   * @throws {ServiceError} any other answer, or none
   * @throws {DOMException} AbortError: options.signal was triggered
   */
  async request(path, options = {}) {
    for (;;) {
      const key = storedKey();
      const response = await this.#send(path, options, key);
      if (response.ok) return response;
      const error = await errorOf(response);
      if (error.code !== "key_invalid") throw error;
      if (!(await this.#renewKey(key))) throw error;
    }
  }

  /** @returns {Promise<any>} the JSON of the answer, seeds as strings; null: there is none (204) */
  async json(path, options) {
    const response = await this.request(path, options);
    return response.status === 204 ? null : parseExactly(await this.#body(response, "text"));
  }

  /** @returns {Promise<string>} the body of the answer as it is */
  async text(path, options) {
    return this.#body(await this.request(path, options), "text");
  }

  /** @returns {Promise<ArrayBuffer>} */
  async bytes(path, options) {
    return this.#body(await this.request(path, options), "arrayBuffer");
  }

  /**
   * @param {string} path
   * @param {RequestInit & {onBytes?: (bytes: number) => void}} [options] onBytes: told how many have
   *   come so far
   * @returns {Promise<Blob>} which browsers keep on the disk if it is large
   */
  async blob(path, { onBytes, ...options } = {}) {
    const response = await this.request(path, options);
    return this.#body(onBytes === undefined ? response : counting(response, onBytes), "blob");
  }

  async #send(path, { headers, ...options }, key) {
    const sent = new Headers(headers);
    if (key !== null) sent.set("Authorization", `Bearer ${key}`);
    try {
      return await fetch(fromPage(path), { ...options, headers: sent });
    } catch (error) {
      throw unreachable(error);
    }
  }

  async #body(response, kind) {
    try {
      return await response[kind]();
    } catch (error) {
      throw unreachable(error);
    }
  }

  /** Requests that are refused together ask once. @returns {Promise<boolean>} there is a new key */
  async #renewKey(used) {
    if (storedKey() !== used) return true; // another request has asked meanwhile
    this.#asking ??= this.#askForKey(used !== null).finally(() => (this.#asking = null));
    const key = await this.#asking;
    if (key === null) return false;
    sessionStorage.setItem(KEY, key);
    return true;
  }
}

/** @returns {string | null} the key of this tab. One that cannot be sent is forgotten, and asked for again. */
function storedKey() {
  const key = sessionStorage.getItem(KEY);
  if (key === null || SENDABLE.test(key)) return key;
  sessionStorage.removeItem(KEY);
  return null;
}

/** @param {string} path of a link of the service's @returns {string} relative to the page */
export function fromPage(path) {
  return path.replace(/^\//, "");
}

function counting(response, onBytes) {
  let bytes = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      onBytes((bytes += chunk.byteLength));
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), { headers: response.headers });
}

/**
 * @param {Error} error of fetch, or of reading an answer
 * @returns {Error} what it means; the error itself if the request was aborted
 */
export function unreachable(error) {
  if (error.name === "AbortError") return error;
  return new ServiceError(NO_ANSWER, `The browser says: ${error.message}.`);
}

async function errorOf(response) {
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const more = {
    status: response.status,
    retryAfterS: Number.isNaN(wait) ? null : wait,
    requestId: response.headers.get("X-Request-ID"),
  };
  try {
    const { code, detail } = await response.json();
    if (typeof code === "string") return new ServiceError(code, String(detail ?? ""), more);
  } catch {
    // No problem+json: the answer is from something between the page and the service.
  }
  const code = AWAY.has(response.status) ? NO_ANSWER : "http_error";
  return new ServiceError(code, `Status ${response.status} ${response.statusText}`, more);
}
