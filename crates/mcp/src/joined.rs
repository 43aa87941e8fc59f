//! Several servers as one view: those that are asked over HTTP, and those of this process.
//!
//! Whatever a server describes and answers is text of somebody else: it is passed on as it is, within bounds. Who may see a thing is asked
//! before it is listed and again before it is used, each time: a list that somebody has kept opens nothing.
//!
//! What servers ask of clients is answered with "no such method", as [`McpClient`](crate::McpClient) does. Roots are the names of files on
//! somebody's machine; sampling would spend a client's model past the limits of its environment; and an elicitation is a server's question to
//! a person in the name of the gateway that they trust. All three ended with the sessions (2026-07-28).

mod at;
mod list;
mod names;
mod subscribing;
mod target;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::MCP_GATEWAY_SERVERS;
use bailiwick_outbound::NotHttpUrl;
use futures_util::future::join_all;
use hyper::body::Bytes;
use tokio::task::AbortHandle;
use url::Url;

use crate::client::McpError;
use crate::lock::lock;
use crate::news::{Change, News};
use crate::raw::write_text;
use crate::upstream::{Failure, HeldAccess, Offer, Question, Upstream};
use crate::view::{Completed, Greeting, LogLevel, Talk, View, ViewError, ViewRequest};
use at::At;
pub use at::{InProcess, InProcessError, InProcessFuture, LocalMember};
use list::{Kind, Lists};
pub use names::{NotServerName, ServerName};

/// What a view of servers rests on: access to them, and who may see what.
pub trait Backing: Send + Sync + 'static {
    /// What a server is asked under, now.
    ///
    /// # Errors
    ///
    /// Why it cannot be asked.
    fn access(
        &self,
        server: &ServerName,
    ) -> impl Future<Output = Result<HeldAccess, McpError>> + Send;

    /// The same, after the server did not take the token of `refused` (401), and so did nothing.
    ///
    /// # Errors
    ///
    /// [`McpError::Unauthorized`] if there is no other one; why it cannot be asked.
    fn access_anew(
        &self,
        server: &ServerName,
        refused: &HeldAccess,
    ) -> impl Future<Output = Result<HeldAccess, McpError>> + Send {
        let _ = (server, refused);
        std::future::ready(Err(McpError::Unauthorized))
    }

    /// Whether the caller is served this, now.
    fn judge(&self, server: &ServerName, item: Item<'_>) -> impl Future<Output = Verdict> + Send;

    /// Ends once the caller would not be let to this server any more, with why: what is under way there is given up then.
    fn until_denied(&self, server: &ServerName) -> impl Future<Output = McpError> + Send {
        let _ = server;
        std::future::pending()
    }
}

/// A thing of a server, under the name that the server gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A tool.
    Tool(&'a str),
    /// A prompt.
    Prompt(&'a str),
    /// A resource, or what a template made of one.
    Resource(&'a str),
    /// A template of resources.
    Template(&'a str),
}

/// Whether a caller is served something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are.
    Served,
    /// For them it is not there.
    Hidden,
}

/// A server of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is called.
    pub name: ServerName,
    /// Where it is.
    pub url: Url,
}

/// What tools and prompts are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `server__tool`.
    Joined,
    /// As their server calls them, of which there is one: for clients that know them by these names.
    Own,
}

/// Why servers are not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// There are too many.
    #[error("a gateway has at most {MCP_GATEWAY_SERVERS} servers")]
    TooMany,
    /// Two have one name.
    #[error("two servers of the gateway are called {0}")]
    Twice(ServerName),
    /// Their tools could have one name.
    #[error("tools keep their own names only where the gateway has one server")]
    OwnNames,
    /// It cannot be asked.
    #[error("the server {0}: {1}")]
    Url(ServerName, NotHttpUrl),
}

/// Several servers, as one caller sees them.
pub struct Joined<B> {
    backing: B,
    naming: Naming,
    greeting: Greeting,
    servers: Vec<Server>,
    lists: Lists,
    news: Arc<News>,
    /// What resources that somebody is subscribed to are called here.
    subscribed: Mutex<HashMap<(usize, String), String>>,
    attended: Mutex<Attended>,
}

/// How many hold the listening to servers, and what does it. It is a task of its own: of those who hold it some may not read.
#[derive(Default)]
struct Attended {
    held: usize,
    task: Option<AbortHandle>,
}

/// One of those who hold it.
struct Attending<B>(Arc<Joined<B>>);

impl<B> Drop for Attending<B> {
    fn drop(&mut self) {
        let mut attended = lock(&self.0.attended);
        attended.held -= 1;
        if attended.held == 0
            && let Some(task) = attended.task.take()
        {
            task.abort();
        }
    }
}

struct Server {
    name: ServerName,
    at: At,
}

/// A thing of a server, and what that calls it.
struct Target {
    server: usize,
    own: String,
}

impl<B: Backing> Joined<B> {
    /// Nothing is sent until it is used. In lists, servers are in this order.
    ///
    /// # Errors
    ///
    /// See [`NotJoined`].
    pub fn new(
        members: Vec<Member>,
        naming: Naming,
        greeting: Greeting,
        backing: B,
    ) -> Result<Self, NotJoined> {
        if members.len() > MCP_GATEWAY_SERVERS {
            return Err(NotJoined::TooMany);
        }
        if naming == Naming::Own && members.len() > 1 {
            return Err(NotJoined::OwnNames);
        }
        let mut servers: Vec<Server> = Vec::new();
        for Member { name, url } in members {
            if servers.iter().any(|server| server.name == name) {
                return Err(NotJoined::Twice(name));
            }
            let upstream = Upstream::new(url);
            let upstream = upstream.map_err(|error| NotJoined::Url(name.clone(), error))?;
            servers.push(Server {
                name,
                at: At::Url(Arc::new(upstream)),
            });
        }
        Ok(Self {
            backing,
            naming,
            greeting,
            servers,
            lists: Lists::default(),
            news: Arc::default(),
            subscribed: Mutex::default(),
            attended: Mutex::default(),
        })
    }

    /// With servers of this process besides, after the others.
    ///
    /// # Errors
    ///
    /// See [`NotJoined`].
    pub fn with_local(mut self, members: Vec<LocalMember>) -> Result<Self, NotJoined> {
        if self.servers.len() + members.len() > MCP_GATEWAY_SERVERS {
            return Err(NotJoined::TooMany);
        }
        if self.naming == Naming::Own && self.servers.len() + members.len() > 1 {
            return Err(NotJoined::OwnNames);
        }
        for LocalMember { name, server } in members {
            if self.servers.iter().any(|known| known.name == name) {
                return Err(NotJoined::Twice(name));
            }
            let at = At::Here(server);
            self.servers.push(Server { name, at });
        }
        Ok(self)
    }

    /// Telling its news where those are told of what was joined before it, so that who listens there goes on.
    #[must_use]
    pub fn telling(self, news: Arc<News>) -> Self {
        Self { news, ..self }
    }

    /// Of a server that is asked over HTTP.
    fn upstream(&self, server: usize) -> Option<&Arc<Upstream>> {
        match &self.servers[server].at {
            At::Url(upstream) => Some(upstream),
            At::Here(_) => None,
        }
    }

    async fn access(&self, server: usize) -> Result<HeldAccess, ViewError> {
        let name = &self.servers[server].name;
        let access = self.backing.access(name).await;
        access.map_err(|error| self.failed(server, error))
    }

    async fn access_anew(
        &self,
        server: usize,
        refused: &HeldAccess,
    ) -> Result<HeldAccess, ViewError> {
        let name = &self.servers[server].name;
        let access = self.backing.access_anew(name, refused).await;
        access.map_err(|error| self.failed(server, error))
    }

    fn failed(&self, server: usize, error: McpError) -> ViewError {
        ViewError::Failed {
            server: self.servers[server].name.to_string(),
            error: Arc::new(error),
        }
    }

    fn not_answered(&self, server: usize, failure: Failure) -> ViewError {
        match failure {
            Failure::Refused(error) => ViewError::Refused(error),
            Failure::Failed(error) => self.failed(server, error),
        }
    }

    /// Asks a server.
    async fn put(
        &self,
        server: usize,
        question: &Question<'_>,
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let asking = self.asked(server, question, talk);
        tokio::select! {
            biased;
            answer = asking => answer,
            error = self.backing.until_denied(&self.servers[server].name) => Err(self.failed(server, error)),
        }
    }

    async fn asked(
        &self,
        server: usize,
        question: &Question<'_>,
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let upstream = match &self.servers[server].at {
            At::Url(upstream) => upstream,
            At::Here(local) => return at::ask(local.as_ref(), question, talk).await,
        };
        let access = self.access(server).await?;
        let told = |change| self.told(server, change);
        let mut asked = upstream.ask(&access, question, (talk, &told)).await;
        if is_unauthorized(&asked) {
            // Few requests come here.
            let access = Box::pin(self.access_anew(server, &access)).await?;
            asked = Box::pin(upstream.ask(&access, question, (talk, &told))).await;
        }
        asked.map_err(|failure| self.not_answered(server, failure))
    }

    /// What a server tells of a change.
    fn told(&self, server: usize, change: Change) {
        let change = match change {
            Change::Tools => {
                self.lists.forget(Kind::Tools);
                Change::Tools
            }
            Change::Prompts => {
                self.lists.forget(Kind::Prompts);
                Change::Prompts
            }
            Change::Resources => {
                self.lists.forget(Kind::Resources);
                self.lists.forget(Kind::Templates);
                Change::Resources
            }
            Change::Updated(uri) => {
                let subscribed = lock(&self.subscribed);
                let Some(shown) = subscribed.get(&(server, uri)).cloned() else {
                    return;
                };
                Change::Updated(shown)
            }
        };
        self.news.tell(change);
    }

    /// Calls a tool.
    async fn call(
        &self,
        (tool, arguments): (String, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let target = self.served(Kind::Tools, &tool).await?;
        let target = target.ok_or(ViewError::Tool(tool))?;
        self.use_named("tools/call", &target, arguments, talk).await
    }

    /// Gets a prompt.
    async fn prompt(
        &self,
        (prompt, arguments): (String, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let target = self.served(Kind::Prompts, &prompt).await?;
        let target = target.ok_or(ViewError::Prompt(prompt))?;
        self.use_named("prompts/get", &target, arguments, talk)
            .await
    }

    /// Whose tool or prompt has this name, if the caller is served it.
    async fn served(&self, kind: Kind, name: &str) -> Result<Option<Target>, ViewError> {
        let Some(target) = self.named(kind, name).await? else {
            return Ok(None);
        };
        let server = &self.servers[target.server].name;
        match self.backing.judge(server, kind.item(&target.own)).await {
            Verdict::Served => Ok(Some(target)),
            Verdict::Hidden => Ok(None),
        }
    }

    /// Asks its server for something that has a name.
    async fn use_named(
        &self,
        method: &'static str,
        target: &Target,
        arguments: Option<Bytes>,
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let mut fields = Vec::with_capacity(64 + arguments.as_ref().map_or(0, Bytes::len));
        fields.extend_from_slice(br#""name":"#);
        write_text(&mut fields, &target.own);
        if let Some(arguments) = &arguments {
            fields.extend_from_slice(br#","arguments":"#);
            fields.extend_from_slice(arguments);
        }
        let question = Question {
            method,
            fields: &fields,
            name: Some(&target.own),
        };
        self.put(target.server, &question, talk).await
    }

    async fn read(&self, uri: String, talk: &Talk) -> Result<Bytes, ViewError> {
        let target = self.resource(&uri).await?;
        let mut fields = br#""uri":"#.to_vec();
        write_text(&mut fields, &target.own);
        let question = Question {
            method: "resources/read",
            fields: &fields,
            name: Some(&target.own),
        };
        let result = self.put(target.server, &question, talk).await;
        if let Err(ViewError::Refused(error)) = result {
            return Err(ViewError::Refused(target::with_uri(error, &uri)));
        }
        let result = result?;
        if target.own == uri {
            return Ok(result);
        }
        // It is called otherwise here.
        Ok(target::renamed(&result, &target.own, &uri))
    }

    async fn complete(
        &self,
        of: Completed,
        (argument, context): (Bytes, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let (target, mut fields) = match of {
            Completed::Prompt(name) => {
                let target = self.served(Kind::Prompts, &name).await?;
                let target = target.ok_or(ViewError::Prompt(name))?;
                (target, br#""ref":{"type":"ref/prompt","name":"#.to_vec())
            }
            Completed::Template(template) => {
                let target = self.template(&template).await?;
                (target, br#""ref":{"type":"ref/resource","uri":"#.to_vec())
            }
        };
        let upstream = self.upstream(target.server).ok_or(ViewError::NotOffered)?;
        let access = self.access(target.server).await?;
        let offers = upstream.offers(&access, Offer::Completions).await;
        if !offers.map_err(|error| self.failed(target.server, error.error()))? {
            return Err(ViewError::NotOffered);
        }
        write_text(&mut fields, &target.own);
        fields.extend_from_slice(br#"},"argument":"#);
        fields.extend_from_slice(&argument);
        if let Some(context) = &context {
            fields.extend_from_slice(br#","context":"#);
            fields.extend_from_slice(context);
        }
        let question = Question {
            method: "completion/complete",
            fields: &fields,
            name: None,
        };
        self.put(target.server, &question, talk).await
    }

    /// Listens to all servers, without end.
    async fn listen(&self) {
        let all = self.servers.iter().enumerate().filter_map(|(at, server)| {
            let upstream = self.upstream(at)?;
            Some(async move {
                let access = || self.backing.access(&server.name);
                let told = |change| self.told(at, change);
                upstream.attend(access, &told).await;
            })
        });
        join_all(all).await;
    }

    async fn set_level(&self, level: LogLevel) -> Bytes {
        let all = (0..self.servers.len()).filter_map(|at| {
            let upstream = self.upstream(at)?;
            Some(async move {
                if let Ok(access) = self.access(at).await {
                    upstream.set_level(&access, level).await;
                }
            })
        });
        join_all(all).await;
        Bytes::from_static(b"{}")
    }
}

/// Whether the server did not take the token, and so did nothing.
fn is_unauthorized<T>(asked: &Result<T, Failure>) -> bool {
    matches!(asked, Err(Failure::Failed(McpError::Unauthorized)))
}

impl<B: Backing> View for Joined<B> {
    fn greeting(&self) -> Greeting {
        self.greeting.clone()
    }

    async fn ask(&self, request: ViewRequest, talk: &Talk) -> Result<Bytes, ViewError> {
        match request {
            ViewRequest::Call { tool, arguments } => self.call((tool, arguments), talk).await,
            ViewRequest::Tools { cursor } => self.page(Kind::Tools, cursor).await,
            ViewRequest::Resources { cursor } => self.page(Kind::Resources, cursor).await,
            ViewRequest::Templates { cursor } => self.page(Kind::Templates, cursor).await,
            ViewRequest::Prompts { cursor } => self.page(Kind::Prompts, cursor).await,
            ViewRequest::Read { uri } => self.read(uri, talk).await,
            ViewRequest::Subscribe { uri } => self.subscribe(uri).await,
            ViewRequest::Unsubscribe { uri } => self.unsubscribe(uri).await,
            ViewRequest::Prompt { name, arguments } => self.prompt((name, arguments), talk).await,
            ViewRequest::Complete {
                of,
                argument,
                context,
            } => self.complete(of, (argument, context), talk).await,
            ViewRequest::Level(level) => Ok(self.set_level(level).await),
        }
    }

    fn news(&self) -> &News {
        &self.news
    }

    fn attend(self: &Arc<Self>) -> impl Send + 'static {
        let mut attended = lock(&self.attended);
        attended.held += 1;
        if attended.task.is_none() {
            let view = Arc::clone(self);
            let listening = tokio::spawn(async move { view.listen().await });
            attended.task = Some(listening.abort_handle());
        }
        drop(attended);
        Attending(Arc::clone(self))
    }

    async fn end(&self) {
        let all = (0..self.servers.len()).filter_map(|at| {
            let upstream = self.upstream(at)?;
            Some(async move {
                if let Ok(access) = self.access(at).await {
                    upstream.end(&access).await;
                }
            })
        });
        join_all(all).await;
    }
}
