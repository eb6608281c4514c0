// node client.mjs SERVER_ADDR CA TOKEN DOMAIN UPSTREAM: forwards until its input ends.
import ngrok from '@ngrok/ngrok';
const [server_addr, root_cas, authtoken, domain, addr] = process.argv.slice(2);
try {
  const listener = await ngrok.forward({ server_addr, root_cas, authtoken, domain, addr });
  console.log('url ' + listener.url());
  process.stdin.on('data', () => {});
  process.stdin.on('end', async () => {
    await ngrok.kill();
    process.exit(0);
  });
} catch (e) {
  console.log('error ' + (e.errorCode || e.code || e.message));
  process.exit(1);
}
