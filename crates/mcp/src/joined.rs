//! Several servers as one view.
//!
//! Whatever a server describes and answers is text of somebody else: it is passed on as it is, within bounds. Who may see a thing is asked
//! before it is listed and again before it is used, each time: a list that somebody has kept opens nothing.
//!
//! What servers ask of clients is answered with "no such method", as [`McpClient`](crate::McpClient) does. Roots are the names of files on
//! somebody's machine; sampling would spend a client's model past the limits of its environment; and an elicitation is a server's question to
//! a person in the name of the gateway that they trust. All three ended with the sessions (2026-07-28).

mod list;
mod names;
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
use crate::news::{Change, News};
use crate::raw::write_text;
use crate::upstream::{Failure, HeldAccess, Offer, Question, Upstream, Wish};
use crate::view::{Completed, Greeting, LogLevel, Talk, View, ViewError, ViewRequest};
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

    /// Whether the caller is served this, now.
    fn judge(&self, server: &ServerName, item: Item<'_>) -> impl Future<Output = Verdict> + Send;
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
    news: News,
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
        let mut attended = list::lock(&self.0.attended);
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
    upstream: Arc<Upstream>,
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
                upstream: Arc::new(upstream),
            });
        }
        Ok(Self {
            backing,
            naming,
            greeting,
            servers,
            lists: Lists::default(),
            news: News::default(),
            subscribed: Mutex::default(),
            attended: Mutex::default(),
        })
    }

    async fn access(&self, server: usize) -> Result<HeldAccess, ViewError> {
        let name = &self.servers[server].name;
        let access = self.backing.access(name).await;
        access.map_err(|error| self.failed(server, error))
    }

    fn failed(&self, server: usize, error: McpError) -> ViewError {
        ViewError::Failed {
            server: self.servers[server].name.to_string(),
            error: Arc::new(error),
        }
    }

    /// Asks a server.
    async fn put(
        &self,
        server: usize,
        question: &Question<'_>,
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let access = self.access(server).await?;
        let told = |change| self.told(server, change);
        let asking = self.servers[server]
            .upstream
            .ask(&access, question, (talk, &told));
        asking.await.map_err(|failure| match failure {
            Failure::Refused(error) => ViewError::Refused(error),
            Failure::Failed(error) => self.failed(server, error),
        })
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
                let subscribed = list::lock(&self.subscribed);
                let Some(shown) = subscribed.get(&(server, uri)).cloned() else {
                    return;
                };
                Change::Updated(shown)
            }
        };
        self.news.tell(change);
    }

    async fn call(
        &self,
        (name, arguments): (String, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let Some(target) = self.named(Kind::Tools, &name).await? else {
            return Err(ViewError::Tool(name));
        };
        let question = ("tools/call", Item::Tool(&target.own));
        match self
            .named_question(&target, question, arguments, talk)
            .await?
        {
            Some(result) => Ok(result),
            None => Err(ViewError::Tool(name)),
        }
    }

    async fn prompt(
        &self,
        (name, arguments): (String, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let Some(target) = self.named(Kind::Prompts, &name).await? else {
            return Err(ViewError::Prompt(name));
        };
        let question = ("prompts/get", Item::Prompt(&target.own));
        match self
            .named_question(&target, question, arguments, talk)
            .await?
        {
            Some(result) => Ok(result),
            None => Err(ViewError::Prompt(name)),
        }
    }

    /// Asks for something by its name; `None` if the caller is not served it.
    async fn named_question(
        &self,
        target: &Target,
        (method, item): (&'static str, Item<'_>),
        arguments: Option<Bytes>,
        talk: &Talk,
    ) -> Result<Option<Bytes>, ViewError> {
        let name = &self.servers[target.server].name;
        match self.backing.judge(name, item).await {
            Verdict::Hidden => return Ok(None),
            Verdict::Served => {}
        }
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
        self.put(target.server, &question, talk).await.map(Some)
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

    async fn subscription(&self, uri: String, wish: Wish) -> Result<Bytes, ViewError> {
        let target = self.resource(&uri).await?;
        let access = self.access(target.server).await?;
        let Server { upstream, .. } = &self.servers[target.server];
        let key = (target.server, target.own.clone());
        match wish {
            Wish::Told => {
                let offers = upstream.offers(&access, Offer::Subscriptions).await;
                let offers = offers.map_err(|error| self.failed(target.server, error.error()))?;
                if !offers {
                    return Err(ViewError::NotOffered);
                }
                let mut all = list::lock(&self.subscribed);
                let is_new = !all.contains_key(&key);
                if is_new && all.len() >= bailiwick_model::limits::MCP_GATEWAY_SUBSCRIPTIONS {
                    return Err(ViewError::Subscriptions);
                }
                all.insert(key, uri);
            }
            Wish::Untold => {
                self.news.forget(&uri);
                list::lock(&self.subscribed).remove(&key);
            }
        }
        let subscribing = upstream.subscribe(&access, &target.own, wish).await;
        subscribing.map_err(|failure| match failure {
            Failure::Refused(error) => ViewError::Refused(error),
            Failure::Failed(error) => self.failed(target.server, error),
        })?;
        Ok(Bytes::from_static(b"{}"))
    }

    async fn complete(
        &self,
        of: Completed,
        (argument, context): (Bytes, Option<Bytes>),
        talk: &Talk,
    ) -> Result<Bytes, ViewError> {
        let (target, mut fields) = match of {
            Completed::Prompt(name) => {
                let Some(target) = self.named(Kind::Prompts, &name).await? else {
                    return Err(ViewError::Prompt(name));
                };
                let server = &self.servers[target.server].name;
                match self.backing.judge(server, Item::Prompt(&target.own)).await {
                    Verdict::Hidden => return Err(ViewError::Prompt(name)),
                    Verdict::Served => {}
                }
                (target, br#""ref":{"type":"ref/prompt","name":"#.to_vec())
            }
            Completed::Template(template) => {
                let target = self.template(&template).await?;
                (target, br#""ref":{"type":"ref/resource","uri":"#.to_vec())
            }
        };
        let access = self.access(target.server).await?;
        let upstream = &self.servers[target.server].upstream;
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
        let all = self
            .servers
            .iter()
            .enumerate()
            .map(|(at, server)| async move {
                let access = || self.backing.access(&server.name);
                let told = |change| self.told(at, change);
                server.upstream.attend(access, &told).await;
            });
        join_all(all).await;
    }

    async fn set_level(&self, level: LogLevel) -> Bytes {
        let all = self
            .servers
            .iter()
            .enumerate()
            .map(|(at, server)| async move {
                if let Ok(access) = self.access(at).await {
                    server.upstream.set_level(&access, level).await;
                }
            });
        join_all(all).await;
        Bytes::from_static(b"{}")
    }
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
            ViewRequest::Subscribe { uri } => self.subscription(uri, Wish::Told).await,
            ViewRequest::Unsubscribe { uri } => self.subscription(uri, Wish::Untold).await,
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
        let mut attended = list::lock(&self.attended);
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
        let all = self
            .servers
            .iter()
            .enumerate()
            .map(|(at, server)| async move {
                if let Ok(access) = self.access(at).await {
                    server.upstream.end(&access).await;
                }
            });
        join_all(all).await;
    }
}
