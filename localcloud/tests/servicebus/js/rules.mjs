// Rules of a subscription, changed while it works.

async function ruleManager({ client, receive, refusal }) {
  const manager = client.createRuleManager("js-rules", "some");
  const rules = async () => {
    const found = [];
    for await (const rule of manager.listRules()) found.push(rule);
    return found;
  };
  const before = await rules();
  await manager.createRule("large", { sqlExpression: "n >= 100" }, { sqlExpression: "SET rank = n * 2" });
  await manager.createRule("urgent", {
    subject: "urgent", correlationId: "c", applicationProperties: { kind: "a", n: 7, yes: true },
  });
  const twice = await refusal(() => manager.createRule("Large", { sqlExpression: "1 = 1" }));
  const malformed = await refusal(() => manager.createRule("bad", { sqlExpression: "n >" }));
  await manager.deleteRule("$Default");
  const missing = await refusal(() => manager.deleteRule("$Default"));
  const after = await rules();
  const sender = client.createSender("js-rules");
  await sender.sendMessages([
    { body: "small", applicationProperties: { n: 1 } },
    { body: "large", applicationProperties: { n: 100 } },
    {
      body: "urgent", subject: "urgent", correlationId: "c",
      applicationProperties: { kind: "a", n: 7, yes: true },
    },
  ]);
  const receiver = client.createReceiver("js-rules", "some", { receiveMode: "receiveAndDelete" });
  const messages = await receive(receiver, 2);
  await manager.deleteRule("urgent");
  return {
    before, twice, malformed, missing, after,
    bodies: messages.map(({ body, applicationProperties }) => [body, applicationProperties.rank ?? null]),
    left: (await receiver.peekMessages(10)).length,
  };
}

export const features = { ruleManager };
