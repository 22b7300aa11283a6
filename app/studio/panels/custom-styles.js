/** Styles of images, kept by the service under a name, and deleted again. */

import { confirm } from "../parts/dialogs.js";
import { isValid } from "../parts/inputs.js";
import { clearProblem, showProblem, wasStopped } from "../parts/problem.js";
import { runJob } from "../service/jobs.js";
import { ServiceError } from "../service/service.js";

const HINT = "Once kept, it is among the organs, for everybody who uses this service.";

const $ = (id) => document.getElementById(id);

/** Dispatches "keep" with the document of a style as `detail`, and "delete" with its name. */
export class CustomStyles extends EventTarget {
  /** Names of those that are offered. @type {Set<string>} */
  names = new Set();
  #service;
  /** @type {{blob: Blob, name: string} | null} */
  #image = null;
  #chosen = null;
  /** What is being kept. */
  #work = new AbortController();

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    super();
    this.#service = service;
    $("style-keep-button").addEventListener("click", () => this.#attempt(() => this.#keep()));
    $("style-name").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // the form around it would make a tile
      $("style-keep-button").click();
    });
    $("style-delete").addEventListener("click", () => this.#attempt(() => this.#delete()));
  }

  /** An image was opened, whose style can be kept. @param {{blob: Blob, name: string}} image */
  offer(image) {
    this.#work.abort();
    this.#image = image;
    $("style-name").value = "";
    this.#say(HINT);
    $("style-keep").hidden = false;
  }

  /** @param {string | null} name of the style that is chosen among the organs */
  showChosen(name) {
    this.#chosen = name;
    $("style-custom").hidden = !this.names.has(name);
  }

  async #keep() {
    const name = $("style-name").value.trim();
    if (name === "") {
      $("style-name").focus();
      throw new ServiceError("style_name_invalid", "The name is empty.");
    }
    if (!isValid($("mpp"))) return;
    this.#say("Keeping …");
    $("style-keep-button").disabled = true;
    try {
      this.dispatchEvent(new CustomEvent("keep", { detail: await this.#send(name) }));
      this.#say(`Kept: ${name} is among the organs now.`);
    } catch (error) {
      this.#say("The style was not kept.");
      throw error;
    } finally {
      $("style-keep-button").disabled = false;
    }
  }

  /** @returns {Promise<any>} document of the style, which is kept */
  async #send(name) {
    const image = this.#image;
    const mpp = $("mpp").value;
    const bodyOf = () => {
      const form = new FormData();
      form.set("style", image.blob, image.name);
      form.set("name", name);
      if (mpp) form.set("mpp", mpp);
      return form;
    };
    this.#work = new AbortController();
    await runJob(this.#service, "styles", bodyOf, {
      signal: this.#work.signal,
      onJob: () => {},
      onWait: (left) => this.#say(`The service is busy. Next try in ${left} s.`),
      onBreak: () => this.#say("The connection was lost. Connecting again …"),
    });
    return this.#service.json(`styles/${encodeURIComponent(name)}`);
  }

  #say(words) {
    $("style-keep-words").textContent = words;
  }

  async #delete() {
    const name = this.#chosen;
    const question =
      `Nobody who uses this service can choose ${name} any more. Tiles of it stay in the gallery, ` +
      "but cannot be made again.";
    if (!(await confirm("Delete the style?", question, "Delete it", "Keep it"))) return;
    try {
      await this.#service.request(`styles/${encodeURIComponent(name)}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) throw error; // somebody else has deleted it
    }
    this.names.delete(name);
    this.dispatchEvent(new CustomEvent("delete", { detail: name }));
  }

  async #attempt(act) {
    clearProblem($("style-problem"));
    try {
      await act();
    } catch (error) {
      if (!wasStopped(error)) showProblem($("style-problem"), error);
    }
  }
}
