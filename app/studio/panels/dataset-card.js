/** One dataset of the list: what it holds, how far it is, what can be done with it. */

import { element } from "../editor/dom.js";
import { counted } from "../parts/inputs.js";
import { sizeWords } from "../parts/sizes.js";
import { FORMATS } from "../service/dataset-formats.js";
import { isFinished } from "../service/datasets.js";
import { Pace, durationWords, rateWords } from "../service/pace.js";
import { fromPage } from "../service/service.js";
import { wordsOf } from "../service/words.js";
import { styleWords } from "./style.js";

let cards = 0;

/** Dispatches "cancel", "download", "stop", "again" and "remove". */
export class DatasetCard extends EventTarget {
  /** @type {import("../service/dataset-list.js").Entry} */
  entry;
  /** By the user, from the list. */
  removed = false;
  /** What went wrong is shown in it. */
  problem = element("div");
  #pace = new Pace();
  #status = element("p", { className: "dataset-status" });
  #bar = element("progress");
  #actions = element("div", { className: "row" });

  /** @param {import("../service/dataset-list.js").Entry} entry */
  constructor(entry) {
    super();
    this.#status.id = `dataset-status-${cards++}`;
    this.#bar.setAttribute("aria-labelledby", this.#status.id);
    const { count, width, height, organs, formats, seed, created_at: createdAt } = entry.dataset;
    const names = formats.map((name) => FORMATS[name]?.name ?? name);
    this.title = `${counted(count, "tile", "tiles")}, ${width} × ${height} px`;
    this.element = element(
      "li",
      { className: "dataset-card" },
      element("h4", {}, this.title),
      element("p", { className: "hint" }, organWords(organs)),
      element("p", { className: "hint" }, ["Label PNG", ...names].join(", ")),
      element("p", { className: "hint" }, `Seed ${seed} · ${when(createdAt)}`),
      this.#bar,
      this.#status,
      this.problem,
      this.#actions,
    );
    this.show(entry);
  }

  /** @param {import("../service/dataset-list.js").Entry} entry */
  show(entry) {
    this.entry = entry;
    const { dataset, gone } = entry;
    const { done, total } = dataset.progress;
    const underWay = !gone && !isFinished(dataset);
    if (dataset.status === "running") this.#pace.see(done);
    this.#bar.hidden = !underWay;
    if (dataset.status === "queued") this.#bar.removeAttribute("value");
    else Object.assign(this.#bar, { max: total, value: done });
    this.element.dataset.state = gone ? "gone" : dataset.status;
    this.#status.textContent = gone ? GONE : this.#words(dataset);
    this.#offer(underWay ? ["cancel"] : ["download", "again", "remove"]);
  }

  /** @param {string} words shown until the dataset changes */
  say(words) {
    this.#status.textContent = words;
  }

  /** The bundle is fetched. @param {number} bytes that have come */
  showDownload(bytes) {
    this.#status.textContent = `Downloading: ${sizeWords(bytes)} so far.`;
    this.#offer(["stop"]);
  }

  #words({ status, progress: { done, total }, error, started_at: start, finished_at: end, expires_at: expiry }) {
    const made = `${done.toLocaleString("en-GB")} of ${counted(total, "tile", "tiles")}`;
    switch (status) {
      case "queued":
        return "Queued.";
      case "running":
        return [`${made}.`, this.#paceWords(total - done)].join(" ");
      case "succeeded": {
        const took = durationWords((Date.parse(end) - Date.parse(start)) / 1000);
        return `Ready: made in ${took}. The service keeps it until ${when(expiry)}.`;
      }
      case "canceled":
        return `Canceled after ${made}.`;
      default: {
        const { title, advice } = wordsOf(error?.code);
        return `Failed after ${made}: ${title}. ${advice} ${error?.detail ?? ""}`;
      }
    }
  }

  #paceWords(left) {
    const { rate } = this.#pace;
    return rate === null || left === 0 ? "" : `${rateWords(rate)}, about ${durationWords(left / rate)} left.`;
  }

  /** Buttons are made anew only if they are others: they may have the focus. */
  #offer(names) {
    const { dataset, gone } = this.entry;
    const bundle = gone ? null : dataset.links.bundle;
    const offered = names.filter((name) => name !== "download" || bundle !== null);
    if (this.#actions.dataset.offered === String(offered)) return;
    const hadFocus = this.#actions.contains(document.activeElement);
    this.#actions.dataset.offered = String(offered);
    this.#actions.replaceChildren(...offered.map((name) => this.#action(name, bundle)));
    if (hadFocus) this.#actions.firstElementChild?.focus();
  }

  #action(name, bundle) {
    const [label, className] = ACTIONS[name];
    const act = (event) => {
      event.preventDefault();
      this.dispatchEvent(new Event(name));
    };
    const properties = { className, ariaLabel: `${label}: ${this.title}`, onclick: act };
    if (name !== "download") return element("button", { type: "button", ...properties }, label);
    return element("a", { href: fromPage(bundle), download: "", ...properties }, label);
  }
}

const GONE =
  "Expired or removed: the service no longer has it. The same settings with the same seed make it again.";

const ACTIONS = {
  cancel: ["Cancel", "small"],
  download: ["Download ZIP", "button small"],
  stop: ["Stop the download", "small"],
  again: ["Use these settings", "quiet small"],
  remove: ["Remove", "quiet small danger"],
};

/** Alike, they need no numbers. */
function organWords(weights) {
  const alike = new Set(Object.values(weights)).size === 1;
  return alike ? Object.keys(weights).join(", ") : styleWords({ kind: "mix", weights });
}

function when(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
