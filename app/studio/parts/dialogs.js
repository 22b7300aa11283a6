/** Questions that must be answered before it goes on. */

import { element } from "../editor/dom.js";
import { KEY_PATTERN } from "../service/service.js";
import { Turns } from "./turns.js";

const dialog = document.getElementById("dialog");
/** There is one dialog: a question waits until that before it is answered. */
const turns = new Turns(1);

/**
 * @param {string} title
 * @param {(string | Node)[]} content
 * @param {{yes: string, no?: string}} buttons
 * @returns {Promise<FormData | null>} the fields, or null if it was declined
 */
function ask(title, content, { yes, no = "Cancel" }) {
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "dialog-title" }, title),
    ...content,
    element(
      "div",
      { className: "row" },
      element("button", { type: "button", onclick: () => dialog.close() }, no),
      element("button", { className: "primary" }, yes),
    ),
  );
  const show = (resolve) => {
    let answer = null;
    dialog.replaceChildren(form);
    form.addEventListener("submit", () => (answer = new FormData(form)));
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    dialog.showModal();
  };
  return turns.take(() => new Promise(show));
}

/** @param {boolean} refused the key that was used is not known @returns {Promise<string | null>} */
export async function askForKey(refused) {
  const why = refused
    ? "The service does not know the key that was used."
    : "This service needs an API key. Whoever runs it hands them out.";
  const answer = await ask(
    "API key",
    [
      element("p", {}, why),
      element(
        "label",
        { className: "field" },
        "Key",
        element("input", {
          type: "password",
          name: "key",
          required: true,
          pattern: `\\s*${KEY_PATTERN}\\s*`,
          title: "Letters, digits and signs of ASCII, without blanks.",
          autocomplete: "off",
        }),
      ),
      element("p", { className: "hint" }, "It is kept until this tab is closed."),
    ],
    { yes: "Use the key" },
  );
  return answer?.get("key").trim() || null;
}

/**
 * @param {string} name of the file
 * @returns {Promise<{width: string, height: string} | {} | null>} of the image that the outlines lie
 *   in; {} for the smallest box that holds them; null if the file shall not be opened
 */
export async function askForSize(name) {
  const inputs = [];
  const field = (label, key) => {
    const input = element("input", { type: "number", name: key, min: "16", max: "8192", oninput: requireBoth });
    inputs.push(input);
    return element("label", { className: "field" }, label, input);
  };
  // Either both or none: one alone would be of no use.
  const requireBoth = () => {
    const isGiven = inputs.some(({ value }) => value !== "");
    for (const input of inputs) input.required = isGiven;
  };
  const answer = await ask(
    "How large is the image?",
    [
      element("p", {}, `${name} holds outlines, but not the size of the image they lie in.`),
      element("div", { className: "fields" }, field("Width, px", "width"), field("Height, px", "height")),
      element("p", { className: "hint" }, "With both left empty, the mask ends at the last outline."),
    ],
    { yes: "Open" },
  );
  if (answer === null) return null;
  const [width, height] = [answer.get("width"), answer.get("height")];
  return width && height ? { width, height } : {};
}

/** @param {string} [no] on the button that leaves it be @returns {Promise<boolean>} */
export async function confirm(title, question, yes, no) {
  return (await ask(title, [element("p", {}, question)], { yes, no })) !== null;
}
