/** What went wrong, in words, where it went wrong. */

import { element } from "../editor/dom.js";
import { ServiceError } from "../service/service.js";
import { wordsOf } from "../service/words.js";

/** @typedef {{label: string, run: () => void}} Action */

/**
 * @param {HTMLElement} host is emptied first
 * @param {Error} error a ServiceError, or whatever else was thrown
 * @param {Action[]} [actions] what can be done about it, as buttons
 */
export function showProblem(host, error, actions = []) {
  const problem = error instanceof ServiceError ? error : mistake(error);
  const { title, advice } = wordsOf(problem.code);
  const request = problem.requestId === null ? "" : `, request ${problem.requestId}`;
  const buttons = actions.map((action) => button(host, action));
  host.replaceChildren(
    element(
      "div",
      { className: "problem", role: "alert" },
      element("h3", {}, title),
      element("p", {}, advice),
      ...(buttons.length > 0 ? [element("div", { className: "row" }, ...buttons)] : []),
      element("p", { className: "detail" }, problem.detail),
      element("code", {}, `${problem.code}${request}`),
    ),
  );
  host.scrollIntoView({ block: "nearest" });
}

/**
 * Something that is no problem.
 *
 * @param {HTMLElement} host is emptied first
 * @param {string} words
 * @param {Action[]} [actions] as buttons
 */
export function showNote(host, words, actions = []) {
  const note = element("p", { className: "hint", role: "status" }, words);
  host.replaceChildren(element("div", { className: "told" }, note, ...actions.map((action) => button(host, action))));
}

/** @param {HTMLElement} host */
export function clearProblem(host) {
  host.replaceChildren();
}

/** @returns {boolean} the user stopped it, which is no problem */
export function wasStopped(error) {
  return error.name === "AbortError";
}

function button(host, { label, run }) {
  return element("button", { type: "button", onclick: () => (clearProblem(host), run()) }, label);
}

function mistake(error) {
  console.error(error);
  return new ServiceError("page_mistake", String(error.message ?? error));
}
