// What can be told of a page's looks without eyes. The functions run in the page.

/** Text that stands out too little from what is behind it (WCAG 2, contrast AA). */
export function faint() {
  const channels = (colour) => {
    const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [red, green, blue], alpha };
  };
  const behind = (element) => {
    for (let place = element; place; place = place.parentElement) {
      const { rgb, alpha } = channels(getComputedStyle(place).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const luminance = (rgb) => {
    const linear = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const texts = [...document.querySelectorAll('body *')].filter((element) => {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    return (own || element.matches('input, textarea')) && element.checkVisibility();
  });
  return texts.flatMap((element) => {
    const style = getComputedStyle(element);
    const ratio = contrast(luminance(channels(style.color).rgb), luminance(behind(element)));
    const large = parseFloat(style.fontSize) >= 24;
    return ratio < (large ? 3 : 4.5) ? [`${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`] : [];
  });
}

/** What reaches out of the window at its right. */
export function tooWide() {
  const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
  const out = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5);
  return [...wide, ...out.map((element) => `${element.tagName} ${element.textContent.slice(0, 30)}`)];
}

/** Controls that have no name for those who don't see them. */
export function nameless() {
  const named = (control) => control.ariaLabel || control.labels?.length || (control.tagName === 'BUTTON' && control.textContent.trim());
  return [...document.querySelectorAll('input, select, textarea, button')].filter((control) => !named(control)).map((control) => control.outerHTML);
}

/** Controls that are too small for a thumb. Links in sentences may be. */
export function small() {
  const controls = [...document.querySelectorAll('button, select, summary, input:not([type=radio], [type=checkbox]), .button, #nav a, [role=option], .choice')];
  const shown = controls.filter((control) => control.checkVisibility() && !control.closest('[inert]'));
  return shown.filter((control) => {
    const { width, height } = control.getBoundingClientRect();
    return Math.min(width, height) < 43.5;
  }).map((control) => control.outerHTML.slice(0, 100));
}
