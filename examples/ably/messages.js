// The messages of a channel, as a careful receiver keeps them: this is what to copy.

/** The roles whose holders may change what others have said, as the policy names them. */
const MODERATORS = new Set(['moderator', 'manager', 'administrator', 'owner']);

/**
 * Whether a change of a message is to be believed: its author's, or that of someone whose token says that they moderate this channel.
 *
 * Ably already asks for the capability to change one's own or any message. But a capability may have been given too widely, or for another
 * reason; and who edits or deletes is told by the client only as `version.clientId`. The user claim is what chat-signer wrote into the token
 * of whoever sent the change, from the policy's roles, and Ably copies it to the message: nobody can claim it for themselves.
 */
export function mayChange(change, original) {
  const by = change.version?.clientId;
  const isAuthor = by !== undefined && by === original.clientId;
  return isAuthor || MODERATORS.has(change.extras?.userClaim);
}

/** What is to be shown, by serial. */
export class Messages {
  #shown = new Map();

  /** Takes over what was received; tells whether it was believed. */
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
