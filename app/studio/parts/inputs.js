/** What several panels do with their inputs. */

/**
 * Radio buttons that choose between parts of a panel.
 *
 * @param {HTMLElement} panel holds the radio buttons, and a part with `data-choice` for each
 * @param {string} name of the radio buttons
 * @param {(value: string) => void} [onChange]
 * @returns {{value: string}} to read and to set
 */
export function choices(panel, name, onChange = () => {}) {
  const radios = [...panel.querySelectorAll(`input[name="${name}"]`)];
  const show = () => {
    for (const part of panel.querySelectorAll("[data-choice]")) {
      part.hidden = part.dataset.choice !== chosen.value;
    }
  };
  const chosen = {
    get value() {
      return radios.find((radio) => radio.checked).value;
    },
    set value(value) {
      radios.find((radio) => radio.value === value).checked = true;
      show();
      onChange(value);
    },
  };
  for (const radio of radios) radio.addEventListener("change", () => (show(), onChange(radio.value)));
  show();
  return chosen;
}

/**
 * Files that are chosen or dropped.
 *
 * @param {HTMLElement[]} targets files may be dropped on these
 * @param {HTMLInputElement} input files may be chosen with it
 * @param {(file: File) => void} onFile
 */
export function acceptFiles(targets, input, onFile) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be chosen again
    if (file) onFile(file);
  });
  for (const target of targets) {
    target.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      target.classList.add("dropping");
    });
    target.addEventListener("dragleave", () => target.classList.remove("dropping"));
    target.addEventListener("drop", (event) => {
      target.classList.remove("dropping");
      const [file] = event.dataTransfer.files;
      if (!file) return;
      event.preventDefault();
      onFile(file);
    });
  }
}

/** A file that is dropped beside its place shall not replace the page. */
export function keepPageFromDrops() {
  for (const type of ["dragover", "drop"]) {
    addEventListener(type, (event) => {
      if (event.dataTransfer.types.includes("Files")) event.preventDefault();
    });
  }
}

/**
 * @param {HTMLInputElement} input of type number
 * @returns {boolean} it holds a number in its range; if not, the browser says so
 */
export function isValid(...inputs) {
  return inputs.every((input) => input.reportValidity());
}

/** @param {number} number @param {string} one @param {string} many @returns {string} */
export function counted(number, one, many) {
  return `${number.toLocaleString("en-GB")} ${number === 1 ? one : many}`;
}
