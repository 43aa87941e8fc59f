// A certified OpenID Connect provider with its own forms: whoever signs in as NAME is NAME@example.com.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [redirectUri, secret] = process.argv.slice(2);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'bailiwick',
      client_secret: secret,
      redirect_uris: [redirectUri],
    }],
    claims: {
      openid: ['sub', 'groups'],
      email: ['email', 'email_verified'],
      profile: ['name'],
    },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `${id} of Example`,
        email: `${id}@example.com`,
        email_verified: !id.startsWith('unverified'),
        groups: id.startsWith('outside') ? ['guests'] : ['bailiwick'],
      }),
    }),
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ port }));
});
