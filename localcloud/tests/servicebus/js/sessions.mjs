// Sessions: who holds one, what it keeps, and in which order its messages come.

async function sessions({ client, receive, refusal }) {
  const sender = client.createSender("js-sessions");
  await sender.sendMessages([
    { body: 1, sessionId: "a" }, { body: 2, sessionId: "b" }, { body: 3, sessionId: "a" },
  ]);
  const receiver = await client.acceptNextSession("js-sessions");
  const messages = await receive(receiver, 2);
  const busy = await refusal(() => client.acceptSession("js-sessions", "a"));
  const other = await client.acceptSession("js-sessions", "b");
  const [two] = await receive(other, 1);
  await other.completeMessage(two);
  await other.close();
  await receiver.completeMessage(messages[0]);
  await receiver.deferMessage(messages[1]);
  const [deferred] = await receiver.receiveDeferredMessages(messages[1].sequenceNumber);
  await receiver.completeMessage(deferred);
  const first = receiver.sessionLockedUntilUtc;
  const renewed = await receiver.renewSessionLock();
  await receiver.close();
  return {
    session: receiver.sessionId,
    bodies: messages.map((message) => message.body),
    busy,
    other: [other.sessionId, two.body],
    deferred: deferred.body,
    renewed: renewed >= first,
    lockS: Math.round((renewed - Date.now()) / 10_000) * 10,
    withoutSession: await refusal(() => client.createReceiver("js-sessions").receiveMessages(1)),
    sentWithout: await refusal(() => sender.sendMessages({ body: "no session" })),
  };
}

async function sessionState({ client, receive }) {
  const sender = client.createSender("js-state");
  await sender.sendMessages({ body: "x", sessionId: "s" });
  const receiver = await client.acceptSession("js-state", "s");
  const none = await receiver.getSessionState();
  await receiver.setSessionState({ step: 2 });
  await receiver.close();
  const again = await client.acceptSession("js-state", "s");
  const kept = await again.getSessionState();
  await again.setSessionState(null);
  const cleared = await again.getSessionState();
  const [message] = await receive(again, 1);
  await again.completeMessage(message);
  await again.close();
  return { none, kept, cleared, delivered: message.deliveryCount };
}

async function nextSession({ connection, sdk }) {
  const retryOptions = { maxRetries: 0, timeoutInMs: 1_500 };
  const client = new sdk.ServiceBusClient(connection, { retryOptions });
  try {
    await client.acceptNextSession("js-no-sessions");
  } catch (error) {
    return { code: error.code, retryable: error.retryable };
  } finally {
    await client.close();
  }
}

async function sessionPump({ client, until }) {
  const sender = client.createSender("js-session-pump");
  await sender.sendMessages(Array.from({ length: 20 }, (_, body) => ({ body, sessionId: "s" })));
  const receiver = await client.acceptSession("js-session-pump", "s");
  const seen = [];
  const subscription = receiver.subscribe({
    processMessage: async ({ body }) => { seen.push(body); },
    processError: async ({ error }) => { seen.push(error.message); },
  });
  await until(() => seen.length === 20);
  await until(async () => (await receiver.peekMessages(1)).length === 0);
  await subscription.close();
  await receiver.close();
  return { seen };
}

export const features = { sessions, sessionState, nextSession, sessionPump };
