// Sends to and completes from a broker that keeps dying: `node kills.mjs PACKAGES CONNECTION`.
//
// Prints {"acknowledged": n} now and then. When standard input ends it sends no more, receives
// what is left, and prints what it saw as its last line.
import { createRequire } from "node:module";

const [packages, connection] = process.argv.slice(2);
const { ServiceBusClient } = createRequire(`${packages}/`)("@azure/service-bus");
const retryOptions = { maxRetries: 40, retryDelayInMs: 50, maxRetryDelayInMs: 100, timeoutInMs: 1_500 };
const open = () => new ServiceBusClient(connection, { retryOptions });

let stopped = false;
process.stdin.on("end", () => { stopped = true; });
process.stdin.resume();

const acknowledged = [];
const delivered = new Set();
const completed = new Set();
const returned = [];

async function send() {
  const sender = open().createSender("q");
  for (let number = 0; !stopped; number++) {
    try {
      await sender.sendMessages({ body: number });
      acknowledged.push(number);
      if (acknowledged.length % 10 === 0) console.log(JSON.stringify({ acknowledged: acknowledged.length }));
    } catch {
      // In doubt: it may have arrived or not.
    }
  }
}

async function receive() {
  for (;;) {
    const client = open();
    const receiver = client.createReceiver("q", { maxAutoLockRenewalDurationInMs: 0 });
    try {
      for (;;) {
        const sending = !stopped;
        const messages = await receiver.receiveMessages(50, { maxWaitTimeInMs: 1_000 });
        await Promise.all(messages.map((message) => complete(receiver, message)));
        if (!sending && messages.length === 0) return;
      }
    } catch {
      // The broker died under it: a new client asks again.
      await client.close().catch(() => undefined);
    }
  }
}

async function complete(receiver, message) {
  const number = message.sequenceNumber.toNumber();
  delivered.add(message.body);
  if (completed.has(number)) returned.push(number);
  await receiver.completeMessage(message);
  completed.add(number);
}

await Promise.all([send(), receive()]);
console.log(JSON.stringify({
  acknowledged: acknowledged.length,
  lost: acknowledged.filter((number) => !delivered.has(number)),
  completed: completed.size,
  returned,
}));
process.exit(0);
