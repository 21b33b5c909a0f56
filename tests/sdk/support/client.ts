// What an app writes in TypeScript, with the types of the SDKs. The compiler checks it; it is not run.

import { getTalkSession } from '@talkjs/core';
import { Realtime as AblyRealtime } from 'ably';
import { BannedError, DeniedError, RetryLaterError, SignerError, ablyAuthCallback, leancloudSignatureFactory, sign, talkjsTokenFetcher } from 'chat-signer-client';
import type { LeancloudSignature } from 'chat-signer-client';
import { Realtime } from 'leancloud-realtime';

const options = { url: 'https://signer.example.com', token: async () => 'fake-token', onError: (error: Error) => console.log(error.message) };

new Realtime({ appId: 'fake', appKey: 'fake' }).createIMClient('tom', leancloudSignatureFactory(options));
leancloudSignatureFactory({ ...options, app: 'second', sdkVersion: 5 });
new AblyRealtime({ authCallback: ablyAuthCallback(options), defaultTokenParams: { capability: { 'chat:*': ['publish'] } } });
getTalkSession({ appId: 'fake', userId: 'tom', tokenFetcher: talkjsTokenFetcher({ ...options, params: { ttl: '30m' } }) });

export async function history(): Promise<string> {
  try {
    return (await sign<LeancloudSignature>({ ...options, app: 'leancloud' }, 'history', { conv_id: 'fake' })).signature;
  } catch (error) {
    if (error instanceof BannedError) return `${error.user}, ${error.until?.toISOString()}, ${error.reason}`;
    if (error instanceof DeniedError) return `${error.rule}, ${error.reason}`;
    if (error instanceof RetryLaterError) return `${error.retryAfter + 1}`;
    if (error instanceof SignerError && error.code === 'unauthenticated') return `${error.status}, ${error.requestId}`;
    // @ts-expect-error: there is no such code.
    if (error instanceof SignerError && error.code === 'forbidden') return '';
    throw error;
  }
}

// @ts-expect-error: the address is required.
talkjsTokenFetcher({ token: 'fake-token' });
// @ts-expect-error: there is no such version.
leancloudSignatureFactory({ ...options, sdkVersion: 3 });
