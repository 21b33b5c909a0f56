// The signature factories of leancloud-realtime, all of them one function: this is what to copy.

/** Factories that ask chat-signer at `signer`, for the caller whom `token` proves. */
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
    // Version 4 hands over the client before the conversation. For version 5 write `blacklistSignatureFactory: sign`.
    blacklistSignatureFactory: (client, conversation, members, action) => sign(conversation, client, members, action),
  };
}
