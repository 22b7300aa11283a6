/**
 * Every error code of the service in plain words: what it means, and what to do. The service's own
 * sentence on the case at hand is shown beneath.
 */

/** @typedef {{title: string, advice: string}} Words */

const LOOK_AT_LOG = "Try again. If it stays, give whoever runs the service the request id below.";

/** @type {Record<string, Words>} */
export const WORDS = {
  // The mask
  mask_missing: { title: "There is no mask", advice: "Open, generate or draw one first." },
  mask_empty_file: { title: "The file is empty", advice: "Export the mask again and open the new file." },
  mask_unreadable: {
    title: "This file cannot be read as a mask",
    advice: "Open a label image (PNG, TIFF, .npy), GeoJSON, COCO, Aperio XML, .mat or PanNuke file. JPEG loses ids.",
  },
  mask_too_large: { title: "The mask is too large", advice: "Cut it into parts of at most 8192 px a side." },
  mask_too_small: { title: "The mask is too small", advice: "Use a mask of at least 16 px a side." },
  mask_binary: {
    title: "All nuclei share one value",
    advice: "Each nucleus needs an id of its own. Make each connected region a nucleus, or export a label image.",
  },
  mask_colour: { title: "The mask is a colour image", advice: "Export it as one channel of ids instead of colours." },
  mask_float: { title: "The mask holds fractions", advice: "Convert its values to integers and open it again." },
  mask_negative: { title: "The mask holds negative ids", advice: "Number the nuclei from 1; 0 is the background." },
  mask_id_too_large: { title: "An id is too large", advice: "Renumber the nuclei; ids go up to 2,147,483,647." },
  mask_shape: { title: "The mask is no single plane", advice: "Save one page, or one slice, with rows and columns only." },
  mask_unwritable: {
    title: "This format cannot hold the mask",
    advice: "Download it as TIFF or .npy: a PNG holds ids up to 65,535 only.",
  },
  mask_error: { title: "The mask cannot be used", advice: "Open or draw another one." },
  // The style
  style_missing: { title: "No style is chosen", advice: "Choose an organ, mix organs, or open an image." },
  style_conflict: { title: "More than one style was sent", advice: "Reload the page and choose one style." },
  style_unknown: {
    title: "There is no such style",
    advice: "It was deleted, or the service has another network now. Choose another one; a custom style can be kept again from its image.",
  },
  style_unreadable: {
    title: "This style image cannot be read",
    advice: "Open a PNG, JPEG or TIFF in colour of H&E-stained tissue.",
  },
  style_too_small: { title: "The style image is too small", advice: "Use one of at least 64 px a side." },
  style_too_large: { title: "The style image is too large", advice: "Crop it to a region of tissue and open that." },
  style_weights_invalid: { title: "The mix has no weight", advice: "Move at least one slider above 0." },
  style_name_invalid: { title: "This is no name for a style", advice: "Use 1 to 64 lower case letters, digits, hyphens and underscores." },
  style_name_taken: { title: "Another image is kept under this name", advice: "Choose another name, or delete that style first." },
  style_is_preset: { title: "This is the name of a preset", advice: "Choose another name: presets can be neither replaced nor deleted." },
  style_outdated: { title: "This style was made for another checkpoint", advice: "Whoever keeps it must send its image again. Choose another style for now." },
  styles_full: { title: "The service keeps as many styles as it may", advice: "Delete one that is not needed any more." },
  style_error: { title: "The style cannot be used", advice: "Choose another one." },
  // The request
  parameter_invalid: { title: "A field needs another value", advice: "Correct what is named below." },
  invalid_input: { title: "The input cannot be used", advice: "Correct what is named below." },
  upload_too_large: {
    title: "The upload is too large",
    advice: "Save the mask as compressed PNG or TIFF and open that, or crop the style image.",
  },
  idempotency_mismatch: { title: "The request was mistaken for another", advice: "Run it again." },
  request_in_flight: { title: "This request is already being worked on", advice: "Wait a moment and run it again." },
  request_malformed: { title: "The service did not understand the page", advice: "Reload the page and try again." },
  not_acceptable: { title: "The service cannot answer in this form", advice: "Reload the page and try again." },
  media_type_unsupported: { title: "The service did not take the upload", advice: "Reload the page and try again." },
  method_not_allowed: { title: "The service cannot do this", advice: "Reload the page: it may be older than the service." },
  not_found: { title: "The service has nothing there", advice: "Reload the page: it may be older than the service." },
  range_not_satisfiable: { title: "That part of the file is not there", advice: "Download the whole file again." },
  key_invalid: { title: "The service needs an API key", advice: "Ask whoever runs it for a key, and enter it here." },
  http_error: { title: "The request failed", advice: LOOK_AT_LOG },
  // The job
  job_unknown: { title: "The service does not know this job", advice: "Run it again." },
  job_expired: { title: "The job has expired", advice: "Its tiles are gone from the service. Run it again: the same seed gives the same tile." },
  job_canceled: { title: "The job was canceled", advice: "Nothing else was changed. Run it again whenever you like." },
  output_unknown: { title: "The job has no such tile", advice: "Run it again." },
  job_kind_unknown: { title: "A worker is older than the service", advice: "Tell whoever runs the service: all parts need the same version." },
  checkpoint_changed: { title: "The service has another network now", advice: "Ask for the dataset again." },
  dataset_unfinished: { title: "The dataset is not finished", advice: "Wait until all of its tiles are made." },
  deadline_exceeded: { title: "The job did not start in time", advice: "Run it again when the service is less busy." },
  // The service
  queue_full: { title: "The queue is full", advice: "Wait, or stop waiting and try again later." },
  rate_limited: { title: "Too many requests in a short time", advice: "Wait, or stop waiting and try again later." },
  try_again_later: { title: "The service cannot do this now", advice: "Try again in a moment." },
  store_unavailable: { title: "The service cannot reach its job records", advice: "Try again in a minute. If it stays, tell whoever runs the service." },
  storage_unavailable: { title: "The service cannot store files now", advice: "Try again in a minute. If it stays, tell whoever runs the service." },
  not_ready: { title: "The service is still starting", advice: "Try again in a minute." },
  out_of_memory: { title: "The device ran out of memory", advice: "Use a smaller mask or fewer tiles, or try again when the service is less busy." },
  worker_lost: { title: "The worker died while painting", advice: "Try a smaller mask. If it stays, tell whoever runs the service." },
  synthesis_failed: { title: "The tile could not be painted", advice: LOOK_AT_LOG },
  internal_error: { title: "The service has a defect", advice: LOOK_AT_LOG },
  // The page's own
  unreachable: { title: "The service does not answer", advice: "Check that it runs and that you are connected, then try again." },
  gallery_full: { title: "The gallery has no room for this run", advice: "Download the tiles now, or delete older runs and make them again." },
  page_mistake: { title: "The studio has a defect", advice: "Reload the page. Drawings that were run are in the gallery." },
};

/** Codes of what may be gone at another attempt. */
const PASSING = new Set([
  "deadline_exceeded", "http_error", "idempotency_mismatch", "internal_error", "job_expired", "job_unknown",
  "not_ready", "out_of_memory", "queue_full", "rate_limited", "request_in_flight", "storage_unavailable",
  "store_unavailable", "synthesis_failed", "try_again_later", "unreachable", "worker_lost",
]);

/** @param {string} code @returns {boolean} whether there is use in trying again as it is */
export function mayPass(code) {
  return PASSING.has(code);
}

/** @param {string} code @returns {Words} also for a code that this page does not know yet */
export function wordsOf(code) {
  return WORDS[code] ?? WORDS.http_error;
}
