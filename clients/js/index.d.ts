/** Where chat-signer is, and who calls. */
export interface SignerOptions {
  /** The address of chat-signer, such as `https://signer.example.com`. In a page, a path such as `/signer` or an empty text is of the same origin. */
  url: string;
  /** The name of the app in chat-signer's configuration. The default is the name of the vendor. */
  app?: string;
  /** The caller's token, or a function that returns it. It is called before each request. Without a token, the browser sends cookies. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /** More headers, such as `X-LC-Session`. */
  headers?: Record<string, string>;
  /** The cookie mode of `fetch`. The default is `same-origin` with a token, and `include` without one. */
  credentials?: "omit" | "same-origin" | "include";
  /** More parameters of the request, such as `{ ttl: "30m" }` for TalkJS. */
  params?: Record<string, unknown>;
  /** The time in milliseconds in which requests are repeated after temporary problems. 0 means one request. */
  retryFor?: number;
  /** Called with each error that ends a request. SDKs that do not pass on the error itself cannot hide it from this function. */
  onError?: (error: Error) => void;
  /** Another `fetch`. */
  fetch?: typeof fetch;
}

/** The codes of chat-signer, and two more: no answer arrived, or the answer is not one of chat-signer. */
export type SignerErrorCode =
  | "malformed" | "invalid_field" | "unauthenticated" | "denied" | "banned" | "not_found" | "method_not_allowed" | "conflict"
  | "not_acceptable" | "too_large" | "unsupported_media_type" | "rate_limited" | "overloaded" | "unavailable" | "internal"
  | "unreachable" | "unexpected_answer";

/** A refusal. `message` is for people. */
export declare class SignerError extends Error {
  readonly code: SignerErrorCode;
  /** The HTTP status, or 0 if there was no answer. */
  readonly status: number;
  /** The id of the request in chat-signer's logs. */
  readonly requestId?: string;
}

/** The user is banned. */
export declare class BannedError extends SignerError {
  readonly user: string;
  /** The conversation or pattern of the ban. `*` means everywhere. */
  readonly conversation: string;
  /** The end of the ban. Absent if the ban has no end. */
  readonly until?: Date;
  readonly reason?: string;
}

/** The policy does not allow the request. */
export declare class DeniedError extends SignerError {
  /** The rule that denied the request, or the allow rule that was closest to a match. */
  readonly rule?: string;
  readonly reason?: string;
}

/** The problem is temporary: too many requests, an overload, or no connection. Repeated requests did not help. */
export declare class RetryLaterError extends SignerError {
  /** The time in seconds to wait before the next request. */
  readonly retryAfter: number;
}

/** Requests any operation: `sign({ url, app: "leancloud" }, "history", { conv_id })`. Throws a `SignerError`. */
export declare function sign<Answer = unknown>(
  options: SignerOptions & { app: string }, operation: string, params?: Record<string, unknown>,
): Promise<Answer>;

export interface LeancloudSignature {
  signature: string;
  timestamp: number;
  nonce: string;
}

export interface LeancloudSignatureFactories {
  signatureFactory(client: string): Promise<LeancloudSignature>;
  conversationSignatureFactory(conversation: string | null, client: string, members: string[], action: string): Promise<LeancloudSignature>;
  blacklistSignatureFactory(first: string, second: string, members: string[], action: string): Promise<LeancloudSignature>;
}

/** Returns the signature factories for `createIMClient` of leancloud-realtime. `sdkVersion` is the SDK's major version, 4 by default. */
export declare function leancloudSignatureFactory(options: SignerOptions & { sdkVersion?: 4 | 5 }): LeancloudSignatureFactories;

export interface AblyTokenParams {
  clientId?: string;
  capability?: any;
  ttl?: number;
}

/** Returns an `authCallback` for ably-js. After a refusal that a retry cannot change, the connection is FAILED. */
export declare function ablyAuthCallback(
  options: SignerOptions,
): (params: AblyTokenParams, callback: (error: any, token: string | null) => void) => void;

/** Returns a `tokenFetcher` for @talkjs/core. If it throws, the session ends. So it repeats requests for five minutes. */
export declare function talkjsTokenFetcher(options: SignerOptions): () => Promise<string>;
