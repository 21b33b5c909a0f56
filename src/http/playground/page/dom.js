// Elements made of data. Data becomes text and nothing else.

/** An element with a class and children; texts become text nodes, and what is null or undefined is left out. */
export function el(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A `select`'s options: texts, or pairs of a value and a text. */
export function fill(select, options) {
  select.replaceChildren(
    ...options.map((option) => {
      const [value, text] = Array.isArray(option) ? option : [option, option];
      return new Option(text, value);
    }),
  );
}

/** Code to look at: `text`, or the same marked up. */
export function code(text, shown = [text]) {
  const block = el("pre", null, el("code", null, shown));
  block.tabIndex = 0;
  return block;
}

/** A button that copies a text. */
export function copier(name, text) {
  const button = el("button", "copy", "Copy");
  button.type = "button";
  button.ariaLabel = name;
  button.addEventListener("click", () => copy(button, text));
  return button;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
