/**
 * An editor of instance masks: paint, outline, erase and delete nuclei, by mouse, finger or
 * keyboard. Ids live in an Int32Array and nowhere else, so that they are what they were, however
 * large. The page that embeds it links editor.css.
 */

import { commandOfKey } from "./commands.js";
import { element } from "./dom.js";
import { KeyboardInput } from "./keyboard-input.js";
import { LabelImage } from "./label-image.js";
import { outlines } from "./outlines.js";
import { drawOverlay } from "./overlay.js";
import { PointerInput } from "./pointer-input.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { Status } from "./status.js";
import { Toolbar, keyboardHelp } from "./toolbar.js";
import { BrushTool, EraseTool, PanTool, PolygonTool, SelectTool, describe } from "./tools.js";

const ZOOM_STEP = Math.SQRT2;
const DESCRIPTION =
  "Arrow keys move a crosshair. Space begins and ends a stroke, or sets a corner of a polygon. " +
  "All keys are listed under Keyboard below.";

let editors = 0;

/**
 * Events:
 * - "change": the mask is another, after a step, undo, redo, load or clear. `detail.nuclei` is the
 *   number of nuclei.
 * - "select": `detail.selected` is the id of the selected nucleus, `detail.hovered` that under the
 *   pointer or crosshair; 0 is none.
 */
export class MaskEditor extends EventTarget {
  #session = new Session();
  #stage;
  #tools;
  #toolName = "brush";
  #toolbar;
  #status = new Status();
  #keyboard;
  /** @type {import("./raster.js").Point | null} */
  #pointer = null;
  #byKeyboard = false;
  /** Outline of the selected nucleus. @type {{id: number, path: Path2D} | null} */
  #selection = null;

  /** @param {HTMLElement} host an empty element; the editor is built inside */
  constructor(host) {
    super();
    const session = this.#session;
    const frame = element("div", { className: "me-stage" });
    this.#stage = new Stage(frame);
    this.#tools = {
      brush: new BrushTool(session),
      polygon: new PolygonTool(session),
      erase: new EraseTool(session),
      select: new SelectTool(session),
      pan: new PanTool(session),
    };
    const root = element("div", { className: "mask-editor" });
    this.#toolbar = new Toolbar(this.#handle());
    root.append(
      this.#toolbar.element,
      this.#toolbar.settings,
      frame,
      this.#status.element,
      keyboardHelp(),
    );
    this.#describeCanvas(root);
    host.append(root);
    this.#listen();
    new PointerInput({
      stage: this.#stage,
      tool: () => this.#tool,
      panning: () => this.#toolName === "pan",
      takeOver: () => this.#keyboard.endStroke(),
      // A pointer that is pushed by the way does not take the crosshair out of its stroke.
      hover: (pixel) => this.#keyboard.stroking || this.#hover(pixel, false),
    });
    this.#keyboard = new KeyboardInput(root, this.#handle());
    this.#stage.drawOverlay = (context, view) => this.#drawOverlay(context, view);
    this.clear(512, 512);
    this.#stage.measure();
  }

  /**
   * Edit a copy of this mask from now on; the history begins anew.
   *
   * @param {Int32Array} labels width * height ids, row by row: 0 background, else 1 to 2^31 - 1
   * @param {number} width in pixels
   * @param {number} height in pixels
   * @throws {RangeError} the length is not width * height, or an id is negative
   */
  load(labels, width, height) {
    const image = new LabelImage(labels.slice(), width, height);
    this.#tool.cancel();
    this.#keyboard.cursor = null;
    this.#pointer = null;
    this.#stage.underlay = null;
    this.#stage.setImage(image);
    this.#session.open(image);
  }

  /** Begin an empty mask of this size in pixels. */
  clear(width, height) {
    this.load(new Int32Array(width * height), width, height);
  }

  /** The ids as they are at this moment; not a copy. Do not write to it. */
  get labels() {
    return this.#session.image.labels;
  }

  get width() {
    return this.#session.image.width;
  }

  get height() {
    return this.#session.image.height;
  }

  /** How many different ids there are. */
  get nuclei() {
    return this.#session.image.nuclei;
  }

  /** Whether a stroke or a polygon has been begun and not ended. */
  get drawing() {
    return this.#tool.active;
  }

  undo() {
    this.#tool.cancel();
    this.#session.undo();
  }

  redo() {
    this.#tool.cancel();
    this.#session.redo();
  }

  /**
   * Show an image beneath the nuclei, stretched to the size of the mask; `load` and `clear` take
   * it away.
   *
   * @param {ImageBitmap | null} image null: none
   */
  setUnderlay(image) {
    this.#stage.underlay = image;
    this.#stage.viewChanged();
    this.#toolbar.update();
  }

  get #tool() {
    return this.#tools[this.#toolName];
  }

  /** What toolbar and keyboard see of the editor. */
  #handle() {
    const editor = this;
    return {
      session: this.#session,
      stage: this.#stage,
      polygon: this.#tools.polygon,
      get toolName() {
        return editor.#toolName;
      },
      get tool() {
        return editor.#tool;
      },
      get panning() {
        return editor.#toolName === "pan";
      },
      run: (command) => this.#run(command),
      commandOfKey,
      cursorMoved: (pixel) => this.#hover(pixel, true),
      tellSelected: () => this.#session.say(describe(this.#session, this.#session.selected)),
    };
  }

  #describeCanvas(root) {
    const id = `mask-editor-${++editors}-description`;
    root.append(element("p", { className: "me-unseen", id }, DESCRIPTION));
    const { canvas } = this.#stage;
    canvas.setAttribute("role", "application");
    canvas.ariaLabel = "Instance mask";
    canvas.setAttribute("aria-describedby", id);
    canvas.dataset.tool = this.#toolName;
    canvas.addEventListener("blur", () => {
      this.#keyboard.endStroke();
      this.#hover(null, false);
    });
  }

  #listen() {
    const session = this.#session;
    session.addEventListener("labels", ({ detail }) => this.#stage.labelsChanged(detail));
    session.addEventListener("message", ({ detail }) => this.#status.say(detail));
    session.addEventListener("settings", () => this.#stage.overlayChanged());
    session.addEventListener("change", () => {
      this.#status.showImage(session.image);
      this.#outlineSelected();
      this.#hover(this.#pointer, this.#byKeyboard);
      this.dispatchEvent(new CustomEvent("change", { detail: { nuclei: this.nuclei } }));
    });
    session.addEventListener("select", () => {
      const { selected, hovered } = session;
      if (selected !== (this.#selection?.id ?? 0)) this.#outlineSelected();
      this.dispatchEvent(new CustomEvent("select", { detail: { selected, hovered } }));
    });
    this.#stage.addEventListener("view", () => this.#status.showZoom(this.#stage.view.scale));
  }

  /** Pointer or crosshair is at this pixel, or nowhere. */
  #hover(pixel, byKeyboard) {
    const { image } = this.#session;
    this.#pointer = pixel;
    this.#byKeyboard = byKeyboard;
    const inside =
      pixel && pixel.x >= 0 && pixel.y >= 0 && pixel.x < image.width && pixel.y < image.height;
    const id = inside ? image.at(pixel.x, pixel.y) : 0;
    this.#status.showPosition(inside ? pixel : null, id);
    if (byKeyboard) this.#status.sayPosition();
    else if (inside) this.#keyboard.cursor = pixel; // the crosshair goes on from the pointer
    this.#session.hover(id);
    this.#stage.overlayChanged();
  }

  #outlineSelected() {
    const { image, selected: id } = this.#session;
    const region = image.extent(id);
    this.#selection = region && {
      id,
      path: outlines(image.labels, image.width, image.height, { region, id }),
    };
    this.#stage.overlayChanged();
  }

  #drawOverlay(context, view) {
    const strokes = this.#toolName === "brush" || this.#toolName === "erase";
    drawOverlay(context, view, {
      selection: this.#selection?.path ?? null,
      corners: this.#tools.polygon.corners,
      pointer: this.#pointer,
      radius: strokes ? this.#session.settings.radius : null,
      crosshair: this.#byKeyboard,
    });
  }

  /** @param {string} command a name of commands.js, or of a button of the polygon */
  #run(command) {
    const { view } = this.#stage;
    const { radius } = this.#session.settings;
    const step = radius < 8 ? 1 : 4;
    const actions = {
      undo: () => this.undo(),
      redo: () => this.redo(),
      delete: () => {
        this.#tool.release();
        this.#session.deleteSelected();
      },
      zoomIn: () => view.zoomBy(ZOOM_STEP),
      zoomOut: () => view.zoomBy(1 / ZOOM_STEP),
      fit: () => view.fit(),
      actualSize: () => view.actualSize(),
      smaller: () => this.#session.set({ radius: radius - step }),
      larger: () => this.#session.set({ radius: radius + step }),
      cancel: () => (this.#tool.active ? this.#tool.cancel() : this.#session.select(0)),
      closePolygon: () => this.#tools.polygon.close(),
      removeCorner: () => this.#tools.polygon.removeLast(),
    };
    if (command in this.#tools) this.#choose(command);
    else actions[command]();
    this.#stage.viewChanged();
    this.#toolbar.update();
  }

  #choose(name) {
    if (name === this.#toolName) return;
    this.#tool.release();
    this.#tool.cancel();
    this.#toolName = name;
    this.#stage.canvas.dataset.tool = name;
  }
}
