// What an entity does with messages, and whom it refuses.

async function filters({ client, receive }) {
  const sender = client.createSender("js-filters");
  await sender.sendMessages([
    { body: 1, subject: "order", applicationProperties: { kind: "a", n: 1 } },
    { body: 2, subject: "order", applicationProperties: { kind: "b", n: 100 } },
    { body: 3, subject: "other", applicationProperties: { kind: "a", n: 100 } },
  ]);
  const got = {};
  for (const [subscription, count] of [["correlated", 1], ["large", 2], ["all", 3]]) {
    const receiver = client.createReceiver("js-filters", subscription);
    const messages = await receive(receiver, count);
    got[subscription] = messages.map(({ body, applicationProperties: { rank } }) => [body, rank ?? null]);
    for (const message of messages) await receiver.completeMessage(message);
  }
  return got;
}

async function forwarding({ client, receive, refusal }) {
  await client.createSender("js-forwarding").sendMessages({ body: "passed on" });
  const receiver = client.createReceiver("js-goal", { receiveMode: "receiveAndDelete" });
  const [{ body }] = await receive(receiver, 1);
  return { body, refused: await refusal(() => client.createReceiver("js-forwarding").receiveMessages(1)) };
}

async function timeToLive({ client, receive }) {
  const sender = client.createSender("js-fleeting");
  await sender.sendMessages([{ body: "short", timeToLive: 300 }, { body: "long" }]);
  const graveyard = client.createReceiver("js-fleeting", { subQueueType: "deadLetter" });
  const [dead] = await receive(graveyard, 1);
  const receiver = client.createReceiver("js-fleeting");
  const [alive] = await receive(receiver, 1);
  await receiver.completeMessage(alive);
  return {
    dead: [dead.body, dead.deadLetterReason],
    alive: alive.body,
    livesS: Math.round((alive.expiresAtUtc - alive.enqueuedTimeUtc) / 1_000),
  };
}

async function duplicates({ client, receive }) {
  const sender = client.createSender("js-unique");
  for (const [messageId, body] of [["1", "one"], ["1", "one again"], ["2", "two"]]) {
    await sender.sendMessages({ messageId, body });
  }
  const receiver = client.createReceiver("js-unique", { receiveMode: "receiveAndDelete" });
  const messages = await receive(receiver, 2);
  return { bodies: messages.map(({ body }) => body), left: (await receiver.peekMessages(1)).length };
}

async function unknownEntity({ client, refusal }) {
  return {
    send: await refusal(() => client.createSender("js-nowhere").sendMessages({ body: 1 })),
    receive: await refusal(() => client.createReceiver("js-nowhere").receiveMessages(1)),
    subscription: await refusal(() => client.createReceiver("js-filters", "nobody").receiveMessages(1)),
    peek: await refusal(() => client.createReceiver("js-nowhere").peekMessages(1)),
  };
}

async function unauthorised({ connection, sdk, retryOptions, refusal }) {
  const wrong = connection.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=d3Jvbmc=");
  const client = new sdk.ServiceBusClient(wrong, { retryOptions });
  const code = await refusal(() => client.createSender("js-send").sendMessages({ body: 1 }));
  await client.close();
  return { code };
}

// Sends typed values for Python to read, and reports what Python sent.
async function types({ client, receive, rhea }) {
  const { types } = rhea;
  const sender = client.createSender("js-to-python");
  const applicationProperties = {
    text: "grün", yes: true, whole: 7, half: 1.5, moment: new Date("2026-01-02T03:04:05.678Z"),
  };
  await sender.sendMessages([
    { body: { text: "grün", list: [1, null, { x: 1.5 }] }, applicationProperties },
    { body: Buffer.from([0, 1, 254, 255]) },
    { body: "plain text" },
    { body: 42, bodyType: "value" },
    { body: types.wrap_long(2 ** 40), bodyType: "value" },
    { body: ["a", 1], bodyType: "sequence" },
  ]);
  const receiver = client.createReceiver("js-from-python", { receiveMode: "receiveAndDelete" });
  const messages = await receive(receiver, 4);
  return messages.map(({ body, applicationProperties: properties = {} }) => ({
    body: Buffer.isBuffer(body) ? { hex: body.toString("hex") } : body,
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [name, [kind(value), String(value)]]),
    ),
  }));

  function kind(value) {
    return value instanceof Date ? "Date" : Buffer.isBuffer(value) ? "Buffer" : typeof value;
  }
}

export const features = {
  filters, forwarding, timeToLive, duplicates, unknownEntity, unauthorised, types,
};
