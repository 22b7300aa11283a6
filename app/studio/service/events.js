/**
 * Server-sent events, read with fetch: EventSource cannot send an API key.
 *
 * @typedef {{event: string, data: string, id: string | null}} ServerEvent
 */

import { parseExactly } from "./exact-json.js";
import { RETRY_MS, persistently } from "./persistence.js";
import { ServiceError, unreachable } from "./service.js";

const FINISHED = new Set(["succeeded", "failed", "canceled"]);

/**
 * A job as it changes, until it has finished.
 *
 * @param {import("./service.js").Service} service
 * @param {string} path the job's link to its events
 * @param {object} options as of `follow`, and
 * @param {(job: any) => void} options.onJob the job document, seeds as strings
 */
export async function followJob(service, path, { onJob, ...options }) {
  const isLast = ({ status }) => FINISHED.has(status);
  await follow(service, path, { ...options, name: "job", onNews: onJob, isLast });
}

/**
 * What events say, until the last. When the connection breaks it is made again and goes on after
 * the last event.
 *
 * @param {import("./service.js").Service} service
 * @param {string} path of the events
 * @param {object} options
 * @param {string} options.name of the events that count
 * @param {(document: any) => void} options.onNews the JSON of each, seeds as strings
 * @param {(document: any) => boolean} options.isLast
 * @param {(error: ServiceError) => void} options.onBreak the connection broke, and is made again
 *   after a moment
 * @param {AbortSignal} options.signal
 * @throws {ServiceError} there is no use in trying again
 */
export async function follow(service, path, { name, onNews, isLast, onBreak, signal }) {
  let lastId = null;
  let retryMs = RETRY_MS;
  const listen = async () => {
    const headers = { Accept: "text/event-stream" };
    if (lastId !== null) headers["Last-Event-ID"] = lastId;
    const response = await service.request(path, { headers, signal, cache: "no-store" });
    if (response.status === 204) return; // all has been said
    for await (const { event, data, id, retry } of readEvents(response.body)) {
      retryMs = retry ?? retryMs;
      lastId = id ?? lastId;
      if (event !== name) continue;
      const document = parseExactly(data);
      onNews(document);
      if (isLast(document)) return;
    }
    // The server stops, or lost sight of its records.
    throw new ServiceError("unreachable", "The events ended before the last of them.");
  };
  await persistently(listen, { signal, onBreak, pauseMs: () => retryMs });
}

/**
 * @param {ReadableStream<Uint8Array>} stream of text/event-stream
 * @returns {AsyncGenerator<ServerEvent & {retry: number | null}>}
 * @throws {ServiceError} unreachable: the connection broke
 */
export async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await read(reader);
      if (done) return; // an event that is cut short does not count
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) yield readEvent(block);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw unreachable(error);
  }
}

function readEvent(block) {
  const fields = { event: "message", data: [], id: null, retry: null };
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "data") fields.data.push(value);
    else if (name === "retry") fields.retry = Number(value);
    else if (name === "event" || name === "id") fields[name] = value;
  }
  return { ...fields, data: fields.data.join("\n") };
}
