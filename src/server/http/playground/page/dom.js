// Creates elements from data. Data becomes only text.

/** Creates an element with a class and children. Texts become text nodes. Null and undefined are left out. */
export function el(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Replaces the options of a `select`. An option is a text, or a pair of a value and a text. */
export function fill(select, options) {
  select.replaceChildren(
    ...options.map((option) => {
      const [value, text] = Array.isArray(option) ? option : [option, option];
      return new Option(text, value);
    }),
  );
}

/** Creates a block of code: `text`, or `shown` with markup. */
export function code(text, shown = [text]) {
  const block = el("pre", null, el("code", null, shown));
  block.tabIndex = 0;
  return block;
}

/** Creates a button that copies a text. */
export function copier(name, text) {
  const button = el("button", "copy", "Copy");
  button.type = "button";
  button.ariaLabel = name;
  button.addEventListener("click", () => copy(button, text));
  return button;
}

/** Copies a text, and says so on the button for two seconds. */
export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
