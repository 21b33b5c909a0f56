// The messages of a channel, with checks of edits and deletions. Copy this file into your app.

/** The names of the roles in the policy that may change the messages of others. */
const MODERATORS = new Set(['moderator', 'manager', 'administrator', 'owner']);

/**
 * Returns true if the change of a message is trustworthy: it comes from its author, or from a moderator of this channel.
 *
 * Ably itself requires the capability to change own messages or any message. But a capability may have been given too widely or for another
 * reason, and the client reports the user who edits or deletes only as `version.clientId`. The user claim is trustworthy: chat-signer
 * writes it into the token of the sender, from the roles of the policy, and Ably copies it to the message. No client can set it.
 */
export function mayChange(change, original) {
  const by = change.version?.clientId;
  const isAuthor = by !== undefined && by === original.clientId;
  return isAuthor || MODERATORS.has(change.extras?.userClaim);
}

/** The messages to show, by serial. */
export class Messages {
  #shown = new Map();

  /** Applies a received message. Returns true if it was accepted. */
  receive(message) {
    const { action, serial } = message;
    const known = this.#shown.get(serial);
    switch (action) {
      case 'message.create':
        if (!known) this.#shown.set(serial, { clientId: message.clientId, data: message.data });
        return !known;
      case 'message.update':
        if (!known || !mayChange(message, known)) return false;
        known.data = message.data;
        return true;
      case 'message.delete':
        if (!known || !mayChange(message, known)) return false;
        return this.#shown.delete(serial);
      default:
        return false;
    }
  }

  get all() {
    return [...this.#shown.values()];
  }
}
