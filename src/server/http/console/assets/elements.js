// Creates elements from data. Data becomes only text.

/**
 * Creates an element. `props` is a class, or an object: functions are listeners (`onclick`), everything else is an attribute. `null` and
 * `false` leave an attribute or a child out.
 */
export function el(name, props, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(typeof props === "string" ? { class: props } : (props ?? {}))) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value != null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);
