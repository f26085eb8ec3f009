// Sending, and what can be done with a message that was received.

async function send({ client, receive }) {
  const sender = client.createSender("js-send");
  const before = Date.now();
  await sender.sendMessages({
    body: { order: 7, lines: ["a", "b"] },
    messageId: "m-1",
    correlationId: "c-1",
    subject: "placed",
    contentType: "application/json",
    replyTo: "answers",
    to: "somewhere",
    replyToSessionId: "r-1",
    partitionKey: "p-1",
    timeToLive: 3_600_000,
    applicationProperties: { type: "order.placed.v1" },
  });
  const receiver = client.createReceiver("js-send");
  const [message] = await receive(receiver, 1);
  await receiver.completeMessage(message);
  const { body, messageId, correlationId, subject, contentType, replyTo, to } = message;
  const { replyToSessionId, partitionKey, timeToLive, applicationProperties } = message;
  return {
    body, messageId, correlationId, subject, contentType, replyTo, to,
    replyToSessionId, partitionKey, timeToLive, applicationProperties,
    sequence: message.sequenceNumber.toString(),
    deliveries: message.deliveryCount,
    state: message.state,
    enqueuedInTime: Math.abs(message.enqueuedTimeUtc.getTime() - before) < 30_000,
    lockedForMs: Math.round((message.lockedUntilUtc - message.enqueuedTimeUtc) / 60_000) * 60_000,
    left: (await receiver.peekMessages(10, { fromSequenceNumber: message.sequenceNumber })).length,
  };
}

async function batch({ client, receive, sdk }) {
  const sender = client.createSender("js-batch");
  const batch = await sender.createMessageBatch();
  const fitted = [];
  for (const body of ["one", "two", "z".repeat(300_000), "three"]) {
    fitted.push(batch.tryAddMessage({ body }));
  }
  await sender.sendMessages(batch);
  await sender.sendMessages([{ body: "four" }, { body: "five" }]);
  const receiver = client.createReceiver("js-batch", { receiveMode: "receiveAndDelete" });
  const messages = await receive(receiver, 5);
  return {
    maxBytes: batch.maxSizeInBytes,
    fitted,
    bodies: messages.map((message) => message.body),
    numbers: messages.map((message) => message.sequenceNumber.toNumber()),
    left: (await receiver.peekMessages(10)).length,
    idsGiven: messages.every((message) => message.messageId),
    tooLarge: await sender.sendMessages({ body: "z".repeat(300_000) }).catch((error) => error.code),
    isError: sdk.isServiceBusError(await sender.sendMessages({ body: "z".repeat(300_000) }).catch((e) => e)),
  };
}

async function abandon({ client, receive }) {
  const sender = client.createSender("js-abandon");
  await sender.sendMessages({ body: "stubborn", applicationProperties: { kept: 1, changed: "old" } });
  const receiver = client.createReceiver("js-abandon");
  const counts = [];
  let changed;
  for (let delivery = 0; delivery < 3; delivery++) {
    const [message] = await receive(receiver, 1);
    counts.push(message.deliveryCount);
    changed = message.applicationProperties;
    await receiver.abandonMessage(message, { changed: "new", added: true });
  }
  const graveyard = client.createReceiver("js-abandon", { subQueueType: "deadLetter" });
  const [dead] = await receive(graveyard, 1);
  await graveyard.completeMessage(dead);
  return { counts, changed, reason: dead.deadLetterReason, deliveries: dead.deliveryCount };
}

async function deadLetter({ client, receive, refusal }) {
  const sender = client.createSender("js-dead-letter");
  await sender.sendMessages({ body: "bad" });
  const receiver = client.createReceiver("js-dead-letter");
  const [message] = await receive(receiver, 1);
  await receiver.deadLetterMessage(message, {
    deadLetterReason: "malformed",
    deadLetterErrorDescription: "no id",
    checked: true,
  });
  const graveyard = client.createReceiver("js-dead-letter", { subQueueType: "deadLetter" });
  const [dead] = await receive(graveyard, 1);
  await graveyard.completeMessage(dead);
  return {
    body: dead.body,
    reason: dead.deadLetterReason,
    description: dead.deadLetterErrorDescription,
    checked: dead.applicationProperties.checked,
    twice: await refusal(() => receiver.completeMessage(message)),
  };
}

async function defer({ client, receive, refusal }) {
  const sender = client.createSender("js-defer");
  await sender.sendMessages([{ body: "later" }, { body: "now" }]);
  const receiver = client.createReceiver("js-defer");
  const [later, now] = await receive(receiver, 2);
  await receiver.deferMessage(later);
  await receiver.completeMessage(now);
  const [peeked] = await receiver.peekMessages(10, { fromSequenceNumber: later.sequenceNumber });
  const [deferred] = await receiver.receiveDeferredMessages(later.sequenceNumber);
  await receiver.completeMessage(deferred);
  return {
    peeked: [peeked.body, peeked.state],
    received: [deferred.body, deferred.state],
    gone: await refusal(() => receiver.receiveDeferredMessages(later.sequenceNumber)),
  };
}

async function peek({ client }) {
  const sender = client.createSender("js-peek");
  await sender.sendMessages(["a", "b", "c"].map((body) => ({ body })));
  const receiver = client.createReceiver("js-peek");
  const first = await receiver.peekMessages(2);
  const next = await receiver.peekMessages(2);
  return {
    pages: [first, next].map((page) => page.map((message) => message.body)),
    locked: first.some((message) => message.lockToken !== undefined),
    none: (await receiver.peekMessages(1)).length,
  };
}

async function schedule({ client, receive, refusal }) {
  const sender = client.createSender("js-schedule");
  const due = new Date(Date.now() + 1_000);
  const [soon] = await sender.scheduleMessages({ body: "soon" }, due);
  await sender.sendMessages({ body: "annotated", scheduledEnqueueTimeUtc: due });
  const never = await sender.scheduleMessages([{ body: "x" }, { body: "y" }], new Date(Date.now() + 3_600_000));
  const receiver = client.createReceiver("js-schedule");
  const later = (message) => ["x", "y"].includes(message.body);
  const waiting = (await receiver.peekMessages(10)).filter(later);
  await sender.cancelScheduledMessages(never);
  const messages = await receive(receiver, 2);
  for (const message of messages) await receiver.completeMessage(message);
  return {
    waiting: waiting.map((message) => [message.body, message.state]),
    bodies: messages.map((message) => message.body).sort(),
    onTime: messages.every((message) => message.enqueuedTimeUtc >= due),
    renumbered: messages.every((message) => message.sequenceNumber.greaterThan(soon)),
    cancelledTwice: await refusal(() => sender.cancelScheduledMessages(never[0])),
  };
}

async function renewLock({ client, receive, refusal }) {
  const sender = client.createSender("js-locks");
  await sender.sendMessages([{ body: "renewed" }, { body: "lost" }]);
  const receiver = client.createReceiver("js-locks", { maxAutoLockRenewalDurationInMs: 0 });
  const [renewed, lost] = await receive(receiver, 2);
  const first = renewed.lockedUntilUtc;
  let moved = true;
  while (new Date() <= lost.lockedUntilUtc) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    moved &&= (await receiver.renewMessageLock(renewed)) > first;
  }
  const refused = await refusal(() => receiver.renewMessageLock(lost));
  await receiver.completeMessage(renewed);
  const [again] = await receive(receiver, 1);
  await receiver.completeMessage(again);
  return { moved, refused, again: [again.body, again.deliveryCount] };
}

async function receiveAndDelete({ client, receive }) {
  const sender = client.createSender("js-delete");
  await sender.sendMessages([{ body: "a" }, { body: "b" }]);
  const receiver = client.createReceiver("js-delete", { receiveMode: "receiveAndDelete" });
  const messages = await receive(receiver, 2);
  return {
    bodies: messages.map((message) => message.body),
    locked: messages.some((message) => message.lockToken !== undefined),
    left: (await receiver.peekMessages(10)).length,
  };
}

async function pump({ client, until, Long }) {
  const sender = client.createSender("js-pump");
  const receiver = client.createReceiver("js-pump");
  const seen = [];
  let running = 0;
  let most = 0;
  const errors = [];
  const subscription = receiver.subscribe(
    {
      processMessage: async (message) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        if (message.body === 13 && message.deliveryCount === 0) throw new Error("unlucky");
        seen.push(message.body);
      },
      processError: async ({ errorSource, error }) => errors.push([errorSource, error.message]),
    },
    { maxConcurrentCalls: 4 },
  );
  for (let start = 0; start < 40; start += 10) {
    await sender.sendMessages(Array.from({ length: 10 }, (_, index) => ({ body: start + index })));
  }
  await until(() => seen.length === 40);
  await until(async () => {
    const left = await receiver.peekMessages(1, { fromSequenceNumber: Long.ONE });
    return left.length === 0;
  });
  await subscription.close();
  return { seen: seen.sort((one, other) => one - other), most, errors };
}

export const features = {
  send, batch, abandon, deadLetter, defer, peek, schedule, renewLock, receiveAndDelete, pump,
};
