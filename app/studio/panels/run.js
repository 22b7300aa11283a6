/** Seed, number of tiles and pixel size, and the run itself. */

import { clearProblem, showNote, showProblem, wasStopped } from "../parts/problem.js";
import { counted, isValid } from "../parts/inputs.js";
import { randomSeed, readSeed } from "../service/seeds.js";
import { isLarge } from "../service/scale.js";
import { mayPass } from "../service/words.js";
import { ServiceError } from "../service/service.js";
import { cancelJob } from "../service/jobs.js";
import { synthesize } from "../service/synthesis.js";
import { WishKeys } from "../service/wish-keys.js";

const $ = (id) => document.getElementById(id);

const MOST_TILES = "16";

const CANCELED = "Canceled: nothing was kept.";
const NOTES = {
  true: "Every run takes this seed.",
  false: "Every run takes a new seed.",
};

/** Dispatches "run" when the user asks for a tile. */
export class RunPanel extends EventTarget {
  #service;
  #problem = $("run-problem");
  #keys = new WishKeys();
  /**
   * What runs now; again: runs it once more.
   *
   * @type {{controller: AbortController, job: any, canceling: boolean, again: () => void} | null}
   */
  #current = null;
  /** Of the mask, the longer one, in pixels. */
  #side = 0;
  /** Micrometres per pixel of the network, once the service has told. @type {number | null} */
  #networkMpp = null;

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    super();
    this.#service = service;
    this.#setLock(false);
    this.#askForScale();
    $("seed").value = randomSeed();
    $("seed-lock").addEventListener("click", () => this.#setLock(!this.#locked));
    // Who types a seed wants that seed.
    $("seed").addEventListener("input", () => this.#setLock(true));
    $("mpp").addEventListener("change", () => this.#limitTiles());
    $("cancel").addEventListener("click", () => this.#cancel());
    $("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#current === null) this.dispatchEvent(new Event("run"));
    });
  }

  /** Whether a run is under way. @returns {boolean} */
  get underWay() {
    return this.#current !== null;
  }

  /**
   * @returns {{seed: string, n: number, mpp: string} | null} null: another run is on, or the user was
   *   told what is wrong
   */
  wish() {
    if (this.#networkMpp === null) this.#askForScale();
    if (this.#current !== null || !isValid($("tiles"), $("mpp"))) return null;
    if (!this.#locked) $("seed").value = randomSeed();
    const seed = readSeed($("seed").value);
    if (seed !== null) return { seed, n: $("tiles").valueAsNumber, mpp: $("mpp").value };
    this.fail(new ServiceError("parameter_invalid", "The seed: a whole number from 0 to 2^63 - 1."));
    $("seed").focus();
    return null;
  }

  /** @param {import("./result.js").Run} run whose values are put back */
  show({ seed, n, mpp = "" }) {
    $("seed").value = seed;
    $("mpp").value = mpp;
    this.#limitTiles();
    $("tiles").value = String(n);
  }

  /** Unlocks the seed: the next run takes a new one. */
  renewSeed() {
    this.#setLock(false);
  }

  /** @param {Error} error */
  fail(error) {
    showProblem(this.#problem, error);
  }

  /** Something that is no problem. @param {string} words @param {import("../parts/problem.js").Action} action */
  tell(words, action) {
    showNote(this.#problem, words, [action]);
  }

  /** What was wrong may be right by now. */
  clear() {
    clearProblem(this.#problem);
  }

  /** @param {{width: number, height: number}} mask of a large one the service makes one tile a run */
  setMask({ width, height }) {
    this.#side = Math.max(width, height);
    this.#limitTiles();
    this.clear();
  }

  /**
   * Run a wish in sight of the user.
   *
   * @param {import("../service/synthesis.js").Wish} wish
   * @param {() => void} again does the same with the same wish, for when the user tries again
   * @returns {Promise<{id: string, createdAt: string, outputs: import("../service/synthesis.js").Output[]} |
   *   null>} null: it came to nothing, and the user was told
   */
  async run(wish, again) {
    if (this.#current !== null) return null;
    const current = (this.#current = { controller: new AbortController(), job: null, canceling: false, again });
    clearProblem(this.#problem);
    this.#begin();
    try {
      return await synthesize(this.#service, wish, {
        keys: this.#keys,
        signal: current.controller.signal,
        onJob: (job) => this.#showJob(current, job),
        onWait: (left, error) => this.#say(waitWords(left, error)),
        onBreak: () => this.#say("The connection was lost. Connecting again …"),
      });
    } catch (error) {
      if (error.code === "job_canceled") showNote(this.#problem, CANCELED);
      else if (!wasStopped(error)) showProblem(this.#problem, error, mayPass(error.code) ? tryAgain(again) : []);
      return null;
    } finally {
      current.controller.abort(); // of several tiles one may have failed and others be fetched still
      this.#current = null;
      this.#end();
    }
  }

  get #locked() {
    return $("seed-lock").ariaPressed === "true";
  }

  #setLock(locked) {
    $("seed-lock").ariaPressed = String(locked);
    $("seed-lock").textContent = locked ? "Locked" : "Lock";
    $("seed-note").textContent = NOTES[locked];
  }

  /** Of a large mask the service makes one tile a job. */
  #limitTiles() {
    const mpp = $("mpp").validity.valid ? $("mpp").valueAsNumber : NaN;
    const isOne = isLarge(this.#side, mpp, this.#networkMpp);
    $("tiles").max = isOne ? "1" : MOST_TILES;
    if (isOne) $("tiles").value = "1";
  }

  /** By which the service decides what is large. Until it has told, the pixels of the mask count as they are. */
  async #askForScale() {
    const card = await this.#service.json("model").catch(() => null); // asked again at the next wish
    if (card === null) return;
    this.#networkMpp = card.mpp;
    this.#limitTiles();
  }

  #begin() {
    const hadFocus = document.activeElement === $("run");
    $("run").hidden = true;
    $("progress").hidden = false;
    $("cancel").disabled = false;
    $("cancel").textContent = "Cancel";
    $("progress-bar").removeAttribute("value");
    this.#say("Sending …");
    if (hadFocus) $("cancel").focus({ preventScroll: true });
  }

  #end() {
    // A button that is disabled has lost the focus to the page.
    const hadFocus = [$("cancel"), document.body].includes(document.activeElement);
    $("progress").hidden = true;
    $("run").hidden = false;
    if (hadFocus) $("run").focus({ preventScroll: true });
  }

  #say(words) {
    $("progress-words").textContent = words;
    $("cancel").textContent = words.startsWith("The service is busy") ? "Stop waiting" : "Cancel";
  }

  #showJob(current, job) {
    const { status, position, progress: { done, total, unit } } = job;
    current.job = job;
    if (status === "succeeded") {
      current.canceling = false; // it was too late for that
      $("cancel").disabled = false;
      this.#say("Fetching …");
    } else if (current.canceling) {
      return;
    } else if (status === "queued") {
      const before = position === null || position === 0 ? "next" : `${counted(position, "job", "jobs")} before this one`;
      this.#say(`Queued: ${before}.`);
      $("progress-bar").removeAttribute("value");
    } else {
      this.#say(total > 1 ? `Painting: ${done} of ${counted(total, unit.slice(0, -1), unit)}.` : "Painting …");
      if (total > 1) Object.assign($("progress-bar"), { max: total, value: done });
    }
  }

  /** A job that was accepted is canceled by the service; before that it is enough to stop. */
  async #cancel() {
    const current = this.#current;
    const { controller, job, again } = current;
    if (job === null) {
      controller.abort();
      return;
    }
    if (job.links.cancel === null) { // it has finished, and its tiles are fetched
      controller.abort();
      showNote(this.#problem, CANCELED);
      return;
    }
    current.canceling = true;
    $("cancel").disabled = true;
    this.#say("Canceling …");
    try {
      await cancelJob(this.#service, job);
    } catch (error) {
      if (!current.canceling) return; // the job was done before
      controller.abort();
      showProblem(this.#problem, error, tryAgain(again));
    }
  }
}

function tryAgain(again) {
  return [{ label: "Try again", run: again }];
}

function waitWords(left, error) {
  const why = error.code === "queue_full" ? "its queue is full" : "it limits how often it is asked";
  return `The service is busy: ${why}. Next try in ${left} s.`;
}
