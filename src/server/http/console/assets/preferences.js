// What the user prefers, kept in this browser. Credentials are never kept.

/** Returns a preference, or null. */
export function preference(name) {
  try {
    return localStorage.getItem(`console.${name}`);
  } catch {
    return null;
  }
}

/** Keeps a preference, if the browser allows it. */
export function prefer(name, value) {
  try {
    localStorage.setItem(`console.${name}`, value);
  } catch {
    // The page works without.
  }
}
