/** Seed, number of tiles and pixel size, and the run itself. */

import { clearProblem, showNote, showProblem, wasStopped } from "../parts/problem.js";
import { counted, isValid } from "../parts/inputs.js";
import { randomSeed, readSeed } from "../service/seeds.js";
import { mayPass } from "../service/words.js";
import { ServiceError } from "../service/service.js";
import { cancelJob } from "../service/jobs.js";
import { synthesize } from "../service/synthesis.js";

const $ = (id) => document.getElementById(id);

const ONE_PASS_PX = 1024;
const MOST_TILES = "16";

const NOTES = {
  true: "Every run takes this seed.",
  false: "Every run takes a new seed.",
};

/** Dispatches "run" when the user asks for a tile. */
export class RunPanel extends EventTarget {
  #service;
  #problem = $("run-problem");
  /** What runs now. @type {{controller: AbortController, job: any, canceling: boolean} | null} */
  #current = null;

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    super();
    this.#service = service;
    this.#setLock(false);
    $("seed").value = randomSeed();
    $("seed-lock").addEventListener("click", () => this.#setLock(!this.#locked));
    // Who types a seed wants that seed.
    $("seed").addEventListener("input", () => this.#setLock(true));
    $("cancel").addEventListener("click", () => this.#cancel());
    $("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#current === null) this.dispatchEvent(new Event("run"));
    });
  }

  /**
   * @returns {{seed: string, n: number, mpp: string} | null} null: another run is on, or the user was
   *   told what is wrong
   */
  wish() {
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
    $("tiles").value = String(n);
    $("mpp").value = mpp;
  }

  /** Unlocks the seed: the next run takes a new one. */
  renewSeed() {
    this.#setLock(false);
  }

  /** @param {Error} error */
  fail(error) {
    showProblem(this.#problem, error);
  }

  /** What was wrong may be right by now. */
  clear() {
    clearProblem(this.#problem);
  }

  /** @param {{width: number, height: number}} mask of a large one the service makes one tile a run */
  setMask({ width, height }) {
    const isLarge = Math.max(width, height) > ONE_PASS_PX;
    $("tiles").max = isLarge ? "1" : MOST_TILES;
    if (isLarge) $("tiles").value = "1";
    this.clear();
  }

  /**
   * Run a wish in sight of the user.
   *
   * @param {import("../service/synthesis.js").Wish} wish
   * @returns {Promise<import("../service/synthesis.js").Output[] | null>} null: it came to nothing,
   *   and the user was told
   */
  async run(wish) {
    if (this.#current !== null) return null;
    const current = (this.#current = { controller: new AbortController(), job: null, canceling: false });
    clearProblem(this.#problem);
    this.#begin();
    try {
      return await synthesize(this.#service, wish, {
        signal: current.controller.signal,
        onJob: (job) => this.#showJob((current.job = job)),
        onWait: (left, error) => this.#say(waitWords(left, error)),
        onBreak: () => this.#say("The connection was lost. Connecting again …"),
      });
    } catch (error) {
      if (error.code === "job_canceled") showNote(this.#problem, "Canceled: nothing was kept.");
      else if (!wasStopped(error)) showProblem(this.#problem, error, mayPass(error.code) ? this.#again() : []);
      return null;
    } finally {
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

  #again() {
    return [{ label: "Try again", run: () => this.dispatchEvent(new Event("run")) }];
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

  #showJob({ status, position, progress: { done, total, unit } }) {
    if (this.#current?.canceling) return;
    if (status === "queued") {
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
    const { controller, job } = this.#current;
    if (job === null) {
      controller.abort();
      return;
    }
    this.#current.canceling = true;
    $("cancel").disabled = true;
    this.#say("Canceling …");
    try {
      await cancelJob(this.#service, job);
    } catch (error) {
      controller.abort();
      showProblem(this.#problem, error, this.#again());
    }
  }
}

function waitWords(left, error) {
  const why = error.code === "queue_full" ? "its queue is full" : "it limits how often it is asked";
  return `The service is busy: ${why}. Next try in ${left} s.`;
}
