// Runs oidc-provider, a provider of OpenID Connect for Node, for the tests of logins: in memory, on a port that the system picks,
// with its own pages for login (any password) and consent. The users are ann (groups eng, ops) and bob (no groups); PKCE is required.
//
//   node provider.mjs ORIGIN BACKCHANNEL    of the proxy, and where its back-channel logout is reached
//
// It prints its issuer. Each line of its standard input has it sign with a new key, and publish no other, while its own sessions
// stay; it prints the name of that key. It ends with its standard input.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';

const [origin, backchannel] = process.argv.slice(2);
const groups = new Map([['ann', ['eng', 'ops']], ['bob', []]]);
console.info = console.error; // the package's advice: standard output is for us
const kept = createMemoryAdapter();
const cookies = [randomBytes(32).toString('hex')];

// newKey is a key for ES256, while dex signs by RS256.
let made = 0;
function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  made += 1;
  return { ...privateKey.export({ format: 'jwk' }), kid: `k${made}`, use: 'sig', alg: 'ES256' };
}

// provider signs with one key. All of them share what is kept.
function provider(issuer, key) {
  return new Provider(issuer, {
    adapter: kept,
    jwks: { keys: [key] },
    clients: [{
      client_id: 'sluice',
      client_secret: 'secret',
      redirect_uris: [`${origin}/.sluice/callback`],
      post_logout_redirect_uris: [`${origin}/.sluice/signed-out`],
      backchannel_logout_uri: backchannel,
      backchannel_logout_session_required: true,
      id_token_signed_response_alg: 'ES256',
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false, // the ID token has the claims, and not only userinfo
    async findAccount(_, id) {
      return groups.has(id) ? { accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.com`, email_verified: true, groups: groups.get(id) }) } : undefined;
    },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true } },
    cookies: { keys: cookies },
    fetch: (url, { dispatcher, ...options }) => fetch(url, options), // that dispatcher refuses loopback
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 3600, Grant: 3600 },
  });
}

let issuer;
let serve;
function sign(key) {
  const p = provider(issuer, key);
  for (const event of ['server_error', 'backchannel.error', 'authorization.error', 'grant.error', 'end_session.error']) {
    p.on(event, (_, fault) => console.error(`${event}:`, fault));
  }
  serve = p.callback();
}

const server = createServer((request, response) => serve(request, response));
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  sign(newKey());
  console.log(issuer);
  createInterface({ input: process.stdin }).on('line', () => {
    const key = newKey();
    sign(key);
    console.log(key.kid);
  }).on('close', () => process.exit(0));
});
