// Requests over one kept-alive connection of Node's agent, with pauses (milliseconds) in between.
// Arguments: the URL, the pauses. Prints on how many connections they went; fails when one broke.

import http from "node:http";
import { setTimeout } from "node:timers/promises";

const [url, ...pauses] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const sockets = new Set();

function get() {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      response.resume();
      response.on("end", resolve);
    });
    request.on("socket", (socket) => sockets.add(socket));
    request.on("error", reject);
  });
}

await get();
for (const pause of pauses) {
  await setTimeout(Number(pause));
  await get();
}
console.log(sockets.size);
agent.destroy();
