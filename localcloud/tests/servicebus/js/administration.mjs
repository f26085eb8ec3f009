// Entities described, created, changed and deleted over HTTPS.

function administration({ sdk }) {
  return new sdk.ServiceBusAdministrationClient(process.env.ADMINISTRATION, {
    retryOptions: { maxRetries: 0 },
  });
}

async function names(iterator) {
  const found = [];
  for await (const { name, subscriptionName } of iterator) found.push(subscriptionName ?? name);
  return found;
}

async function administerQueues(context) {
  const { client, refusal, receive } = context;
  const admin = administration(context);
  const created = await admin.createQueue("js-made/queue", {
    lockDuration: "PT7S", maxDeliveryCount: 3, defaultMessageTimeToLive: "P1D",
    deadLetteringOnMessageExpiration: true, requiresDuplicateDetection: true,
    duplicateDetectionHistoryTimeWindow: "PT1M", userMetadata: "made by a test", forwardDeadLetteredMessagesTo: "js-send",
  });
  const { lockDuration, maxDeliveryCount, defaultMessageTimeToLive, userMetadata, status } = created;
  const sender = client.createSender("js-made/queue");
  await sender.sendMessages([{ body: 1 }, { body: 2 }]);
  await sender.scheduleMessages({ body: 3 }, new Date(Date.now() + 3_600_000));
  const counts = await admin.getQueueRuntimeProperties("js-made/queue");
  const updated = await admin.updateQueue({ ...created, maxDeliveryCount: 5, status: "SendDisabled" });
  const disabled = await refusal(() => client.createSender("js-made/queue").sendMessages({ body: 4 }));
  const receiver = client.createReceiver("js-made/queue", { receiveMode: "receiveAndDelete" });
  const bodies = (await receive(receiver, 2)).map(({ body }) => body);
  const refusals = {
    twice: await refusal(() => admin.createQueue("js-made/queue")),
    fixed: await refusal(() => admin.updateQueue({ ...created, requiresSession: true })),
    name: await refusal(() => admin.createQueue("not allowed")),
    missing: await refusal(() => admin.getQueue("js-nowhere")),
    unwanted: await refusal(() => admin.deleteQueue("js-nowhere")),
  };
  const listed = (await names(admin.listQueues())).includes("js-made/queue");
  await admin.deleteQueue("js-made/queue");
  return {
    created: { lockDuration, maxDeliveryCount, defaultMessageTimeToLive, userMetadata, status },
    forwards: created.forwardDeadLetteredMessagesTo.replace(/:\d+/, ""),
    counts: [counts.totalMessageCount, counts.activeMessageCount, counts.scheduledMessageCount],
    sized: counts.sizeInBytes > 0,
    updated: [updated.maxDeliveryCount, updated.status],
    disabled, bodies, refusals, listed,
    exists: await admin.queueExists("js-made/queue"),
    afterwards: await refusal(() => client.createSender("js-made/queue").sendMessages({ body: 5 })),
  };
}

async function administerTopics(context) {
  const { client, receive, refusal } = context;
  const admin = administration(context);
  await admin.createTopic("js-made-topic", { maxSizeInMegabytes: 2_048 });
  await admin.createSubscription("js-made-topic", "first", {
    defaultRuleOptions: { name: "large", filter: { sqlExpression: "n > @least", sqlParameters: { "@least": 10 } } },
  });
  await admin.createSubscription("js-made-topic", "second", { lockDuration: "PT5S", requiresSession: false });
  await admin.createRule("js-made-topic", "second", "labelled", {
    subject: "x", applicationProperties: { kind: "a", yes: true, half: 1.5, since: new Date(86_400_000) },
  }, { sqlExpression: "SET seen = 'yes'" });
  await admin.deleteRule("js-made-topic", "second", "$Default");
  const rule = await admin.getRule("js-made-topic", "second", "labelled");
  const sql = await admin.getRule("js-made-topic", "first", "large");
  const sender = client.createSender("js-made-topic");
  const since = new Date(86_400_000);
  await sender.sendMessages([
    { body: "n", applicationProperties: { n: 11 } },
    { body: "x", subject: "x", applicationProperties: { kind: "a", yes: true, half: 1.5, since } },
  ]);
  const got = {};
  for (const name of ["first", "second"]) {
    const receiver = client.createReceiver("js-made-topic", name, { receiveMode: "receiveAndDelete" });
    const [{ body, applicationProperties }] = await receive(receiver, 1);
    got[name] = [body, applicationProperties.seen ?? null];
  }
  const changed = await admin.updateRule("js-made-topic", "second", { ...rule, filter: { sqlExpression: "1=0" } });
  const pages = [];
  for await (const page of admin.listSubscriptions("js-made-topic").byPage({ maxPageSize: 1 })) {
    pages.push(page.map(({ subscriptionName }) => subscriptionName));
  }
  const runtime = await admin.getTopicRuntimeProperties("js-made-topic");
  await admin.deleteSubscription("js-made-topic", "first");
  const left = await names(admin.listSubscriptions("js-made-topic"));
  await admin.deleteTopic("js-made-topic");
  return {
    rule: [rule.name, rule.filter.subject, rule.filter.applicationProperties, rule.action.sqlExpression],
    sql: [sql.filter.sqlExpression, sql.filter.sqlParameters],
    got,
    changed: changed.filter.sqlExpression,
    pages,
    subscriptions: runtime.subscriptionCount,
    left,
    gone: await refusal(() => admin.getTopic("js-made-topic")),
    subscriptionGone: await refusal(() => admin.getSubscription("js-made-topic", "second")),
  };
}

async function administerNamespace(context) {
  const properties = await administration(context).getNamespaceProperties();
  const wrong = process.env.ADMINISTRATION.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=d3Jvbmc=");
  const stranger = new context.sdk.ServiceBusAdministrationClient(wrong);
  return {
    sku: properties.messagingSku,
    name: properties.name,
    unauthorised: await context.refusal(() => stranger.getNamespaceProperties()),
  };
}

export const features = { administerQueues, administerTopics, administerNamespace };
