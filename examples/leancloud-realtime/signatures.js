// The signature factories of leancloud-realtime. All of them use one function. Copy this file into your app.

/** Returns factories that request signatures from chat-signer at `signer`. `token` returns the token of the caller. */
export function signatures(signer, token) {
  const sign = async (conv_id, client_id, members, action) => {
    const response = await fetch(`${signer}/sign2`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ client_id, conv_id, members, action }),
    });
    const answer = await response.json();
    if (!response.ok) throw Object.assign(new Error(answer.error), { code: answer.code });
    return answer;
  };
  return {
    signatureFactory: (client) => sign(null, client),
    conversationSignatureFactory: sign,
    // Version 4 passes the client before the conversation. For version 5, write `blacklistSignatureFactory: sign`.
    blacklistSignatureFactory: (client, conversation, members, action) => sign(conversation, client, members, action),
  };
}
