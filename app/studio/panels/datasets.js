/** Datasets: one is asked for, and those that were are followed, fetched, and removed. */

import { element } from "../editor/dom.js";
import { confirm } from "../parts/dialogs.js";
import { counted } from "../parts/inputs.js";
import { clearProblem, showProblem, wasStopped } from "../parts/problem.js";
import { save } from "../parts/save.js";
import { Turns } from "../parts/turns.js";
import * as list from "../service/dataset-list.js";
import { askForDataset, followDataset, isFinished } from "../service/datasets.js";
import { fromPage } from "../service/service.js";
import { WishKeys } from "../service/wish-keys.js";
import { DatasetCard } from "./dataset-card.js";
import { DatasetForm } from "./dataset-form.js";

const FOLLOWED_AT_A_TIME = 2;
const GONE = new Set(["job_unknown", "job_expired"]);
const NEWS = {
  succeeded: (title) => `The dataset is ready: ${title}.`,
  failed: (title) => `The dataset failed: ${title}.`,
  canceled: (title) => `The dataset was canceled: ${title}.`,
};

const $ = (id) => document.getElementById(id);

export class DatasetsPanel {
  #service;
  #form = new DatasetForm();
  #turns = new Turns(FOLLOWED_AT_A_TIME);
  #keys = new WishKeys();
  #sending = null;

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    this.#service = service;
    $("dataset-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#sending === null) this.#submit();
    });
    $("dataset-stop").addEventListener("click", () => this.#sending.abort());
    const cards = list.all().map((entry) => this.#card(entry));
    $("dataset-cards").append(...cards.map((card) => card.element));
    this.#showWhetherEmpty();
    whenShown("#datasets", () => this.#look(cards));
  }

  /** @param {string[]} organs that have presets; none: they could not be loaded */
  setOrgans(organs) {
    this.#form.setOrgans(organs);
  }

  async #submit() {
    clearProblem($("dataset-problem"));
    const { signal } = (this.#sending = new AbortController());
    try {
      const wish = this.#form.value;
      if (wish === null) return;
      const dataset = await askForDataset(this.#service, wish, { keys: this.#keys, signal, onWait: showWaiting });
      this.#add(dataset);
    } catch (error) {
      if (!wasStopped(error)) showProblem($("dataset-problem"), error);
    } finally {
      this.#sending = null;
      hideWaiting();
    }
  }

  #add(dataset) {
    const card = this.#card({ dataset, gone: false });
    this.#keep(card, card.entry);
    $("dataset-cards").prepend(card.element);
    this.#showWhetherEmpty();
    $("dataset-news").textContent = `The service has accepted the dataset: ${card.title}.`;
    card.element.scrollIntoView({ block: "nearest" });
    this.#attempt(card, () => this.#follow(card));
  }

  #card(entry) {
    const card = new DatasetCard(entry);
    const acts = { cancel: this.#cancel, download: this.#download, again: this.#again, remove: this.#remove };
    for (const [name, act] of Object.entries(acts)) {
      card.addEventListener(name, () => this.#attempt(card, () => act.call(this, card)));
    }
    return card;
  }

  /** What has become of the datasets since the page was last open. */
  async #look(cards) {
    for (const card of cards.filter(({ entry }) => !entry.gone)) {
      await this.#attempt(card, () => this.#refresh(card));
    }
    // The oldest first: it is made first. Of the others nothing more is heard, and what went wrong stays.
    for (const card of cards.filter(isUnderWay).toReversed()) this.#attempt(card, () => this.#follow(card));
  }

  async #refresh(card) {
    const dataset = await this.#service.json(card.entry.dataset.links.self);
    this.#keep(card, { dataset, gone: false });
  }

  async #follow(card) {
    const options = {
      signal: new AbortController().signal, // to the end
      onDataset: (dataset) => this.#keep(card, { dataset, gone: false }),
      onBreak: () => card.say("The connection was lost. Connecting again …"),
    };
    const toItsEnd = async () => {
      if (!isUnderWay(card)) return; // canceled, or removed, while it waited for its turn
      await followDataset(this.#service, card.entry.dataset, options);
      const news = NEWS[card.entry.dataset.status];
      if (news !== undefined && !card.removed) $("dataset-news").textContent = news(card.title);
    };
    if (isUnderWay(card)) await this.#turns.take(toItsEnd);
  }

  #keep(card, entry) {
    if (card.removed) return; // what is heard of it late does not bring it back
    list.keep(entry);
    card.show(entry);
  }

  /** Do something that may fail, and say so on the card if it does. */
  async #attempt(card, action) {
    clearProblem(card.problem);
    try {
      await action();
    } catch (error) {
      if (GONE.has(error.code)) {
        this.#keep(card, { ...card.entry, gone: true });
        return;
      }
      card.show(card.entry);
      if (!wasStopped(error)) showProblem(card.problem, error);
    }
  }

  async #cancel(card) {
    const { done } = card.entry.dataset.progress;
    const lost = done === 0 ? "" : `The ${counted(done, "tile that is", "tiles that are")} made cannot be downloaded then. `;
    const question = `${lost}The same settings with the same seed make the same dataset again.`;
    if (!(await confirm("Cancel the dataset?", question, "Cancel the dataset", "Go on with it"))) return;
    const { cancel } = card.entry.dataset.links;
    if (cancel === null) return; // it has finished meanwhile
    card.say("Canceling …");
    const dataset = await this.#service.json(cancel, { method: "DELETE" });
    this.#keep(card, dataset === null ? { ...card.entry, gone: true } : { dataset, gone: false });
  }

  /** A plain link where no key is needed: the browser writes to the disk as the bytes come. */
  async #download(card) {
    await this.#refresh(card); // a download that fails says nothing of why
    const { links: { bundle }, count, seed } = card.entry.dataset;
    if (!this.#service.hasKey) {
      element("a", { href: fromPage(bundle), download: "" }).click();
      return;
    }
    const stopping = new AbortController();
    const { signal } = stopping;
    card.addEventListener("stop", () => stopping.abort(), { signal });
    card.showDownload(0);
    try {
      const onBytes = (bytes) => card.showDownload(bytes);
      save(await this.#service.blob(bundle, { signal, onBytes }), `sian-${count}-${seed}.zip`);
    } finally {
      stopping.abort(); // which takes the listener away, too
    }
    card.show(card.entry);
  }

  async #again(card) {
    this.#form.value = card.entry.dataset;
    $("dataset-count").focus();
  }

  async #remove(card) {
    const { dataset, gone } = card.entry;
    const isThere = !gone && dataset.links.remove !== null;
    if (isThere && !(await confirm("Remove the dataset?", "Its tiles are deleted from the service.", "Remove"))) return;
    if (isThere) await this.#service.request(dataset.links.remove, { method: "DELETE" });
    card.removed = true;
    list.forget(dataset.id);
    card.element.remove();
    this.#showWhetherEmpty();
    $("dataset-list-title").focus();
  }

  #showWhetherEmpty() {
    $("dataset-empty").hidden = $("dataset-cards").childElementCount > 0;
  }
}

/** @param {DatasetCard} card */
function isUnderWay({ removed, entry }) {
  return !removed && !entry.gone && !isFinished(entry.dataset);
}

function showWaiting(left, { code }) {
  const hadFocus = document.activeElement === $("dataset-submit");
  const why = code === "queue_full" ? "its queue is full" : "it limits how often it is asked";
  $("dataset-waiting-words").textContent = `The service is busy: ${why}. Next try in ${left} s.`;
  $("dataset-waiting").hidden = false;
  $("dataset-submit").hidden = true;
  if (hadFocus) $("dataset-stop").focus();
}

function hideWaiting() {
  const hadFocus = document.activeElement === $("dataset-stop");
  $("dataset-waiting").hidden = true;
  $("dataset-submit").hidden = false;
  if (hadFocus) $("dataset-submit").focus();
}

/** Once, as soon as a place of the page is shown. */
function whenShown(hash, act) {
  const check = () => {
    if (location.hash !== hash) return;
    removeEventListener("hashchange", check);
    act();
  };
  addEventListener("hashchange", check);
  check();
}
