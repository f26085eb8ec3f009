// A client with a token credential, over TLS: ENDPOINT is where, TOKEN what it presents.

const tokens = (token) => ({
  getToken: async (scopes) => {
    asked.push(String(scopes));
    return { token, expiresOnTimestamp: Date.now() + 3_600_000 };
  },
});
const asked = [];

async function credential({ sdk, receive, refusal, retryOptions }) {
  const open = (token) =>
    new sdk.ServiceBusClient("localhost", tokens(token), {
      customEndpointAddress: process.env.ENDPOINT, retryOptions,
    });
  const client = open(process.env.TOKEN);
  await client.createSender("q").sendMessages({ body: "with a token" });
  const [message] = await receive(client.createReceiver("q", { receiveMode: "receiveAndDelete" }), 1);
  await client.close();
  const stranger = open(`${process.env.TOKEN}x`);
  const refused = await refusal(() => stranger.createSender("q").sendMessages({ body: "stolen" }));
  await stranger.close();
  return { body: message.body, scope: asked[0], refused };
}

export const features = { credential };
