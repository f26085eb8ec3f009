// Drives the unmodified @microsoft/signalr client by commands, in Node and in a browser alike.
// eslint-disable-next-line no-unused-vars
function createDriver(signalR, emit) {
  const clients = new Map();

  function listen(name, client) {
    for (const target of ["notification", "order", "resync"]) {
      client.connection.on(target, (message) => {
        if (message.entry && !client.resuming) client.last = message.entry;
        emit({ name, event: target, message });
      });
    }
    client.connection.onreconnecting((error) => {
      // What comes before Resume has answered must not move the place from which to resume.
      client.resuming = true;
      emit({ name, event: "reconnecting", error: error ? error.message : null });
    });
    client.connection.onreconnected(async () => {
      const resumed = await client.connection.invoke("Resume", client.last);
      client.last = resumed.entry;
      client.resuming = false;
      emit({ name, event: "reconnected", resumed });
    });
    client.connection.onclose((error) => {
      emit({ name, event: "closed", error: error ? error.message : null });
    });
  }

  const commands = {
    async connect({ name, url, tokens, transport }) {
      let used = 0;
      const connection = new signalR.HubConnectionBuilder()
        .withUrl(url, {
          transport: signalR.HttpTransportType[transport],
          accessTokenFactory: () => tokens[Math.min(used++, tokens.length - 1)],
        })
        .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 })
        .configureLogging(signalR.LogLevel.None)
        .build();
      const client = { connection, last: null, resuming: false };
      clients.set(name, client);
      listen(name, client);
      await connection.start();
      client.last = (await connection.invoke("Resume", null)).entry;
      return client.last;
    },
    async invoke({ name, method, args }) {
      return clients.get(name).connection.invoke(method, ...args);
    },
    async send({ name, method, args }) {
      return clients.get(name).connection.send(method, ...args);
    },
    async stop({ name }) {
      await clients.get(name).connection.stop();
      clients.delete(name);
    },
  };

  return async function run({ command, number, ...options }) {
    try {
      emit({ answer: number, result: (await commands[command](options)) ?? null });
    } catch (error) {
      emit({ answer: number, error: error.message });
    }
  };
}

if (typeof module !== "undefined") module.exports = { createDriver };
