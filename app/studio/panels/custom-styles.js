/** Styles of images, kept by the service under a name, and deleted again. */

import { confirm } from "../parts/dialogs.js";
import { isValid } from "../parts/inputs.js";
import { clearProblem, showProblem } from "../parts/problem.js";
import { runJob } from "../service/jobs.js";
import { persistently } from "../service/persistence.js";
import { ServiceError } from "../service/service.js";
import { WishKeys } from "../service/wish-keys.js";

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
  #keys = new WishKeys();

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

  /**
   * An image was opened, whose style can be kept. The style of another one that is being kept is kept
   * all the same.
   *
   * @param {{blob: Blob, name: string}} image
   */
  offer(image) {
    this.#image = image;
    $("style-name").value = "";
    $("style-keep-button").disabled = false;
    this.#say(image, HINT);
    $("style-keep").hidden = false;
  }

  /** @param {string | null} name of the style that is chosen among the organs */
  showChosen(name) {
    this.#chosen = name;
    $("style-custom").hidden = !this.names.has(name);
  }

  async #keep() {
    const image = this.#image;
    const name = $("style-name").value.trim();
    if (name === "") {
      $("style-name").focus();
      throw new ServiceError("style_name_invalid", "The name is empty.");
    }
    if (!isValid($("mpp"))) return;
    this.#say(image, "Keeping …");
    $("style-keep-button").disabled = true;
    try {
      this.dispatchEvent(new CustomEvent("keep", { detail: await this.#send(image, name) }));
      this.#say(image, `Kept: ${name} is among the organs now.`);
    } catch (error) {
      this.#say(image, "The style was not kept.");
      if (image !== this.#image) error.detail = `${image.name} as ${name}: ${error.detail}`;
      throw error;
    } finally {
      if (image === this.#image) $("style-keep-button").disabled = false;
    }
  }

  /** @returns {Promise<any>} document of the style, which is kept */
  async #send(image, name) {
    const mpp = $("mpp").value;
    const bodyOf = () => {
      const form = new FormData();
      form.set("style", image.blob, image.name);
      form.set("name", name);
      if (mpp) form.set("mpp", mpp);
      return form;
    };
    const { signal } = new AbortController(); // to the end
    const onBreak = () => this.#say(image, "The connection was lost. Connecting again …");
    await runJob(this.#service, "styles", [name, image.blob, mpp], bodyOf, {
      keys: this.#keys,
      signal,
      onJob: () => this.#say(image, "Keeping …"),
      onWait: (left) => this.#say(image, `The service is busy. Next try in ${left} s.`),
      onBreak,
    });
    const path = `styles/${encodeURIComponent(name)}`;
    return persistently(() => this.#service.json(path, { signal }), { signal, onBreak });
  }

  /** What is done with an image, as long as it is the one that is shown. */
  #say(image, words) {
    if (image === this.#image) $("style-keep-words").textContent = words;
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
      showProblem($("style-problem"), error);
    }
  }
}
