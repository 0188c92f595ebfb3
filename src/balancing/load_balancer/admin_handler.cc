#include "balancing/load_balancer/admin_handler.h"

#include <string>
#include <utility>

#include "balancing/load_balancer/dashboard.h"
#include "balancing/load_balancer/nginx_api.h"
#include "balancing/load_balancer/nginx_api_servers.h"
#include "balancing/load_balancer/state_json.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/telemetry/log.h"
#include "network/http/body_collector.h"

namespace tepal::lb {

namespace {

constexpr uint64_t kBodyBytesMax = 64 * 1024;

// The page takes nothing from elsewhere, sends nothing elsewhere and is shown in no frame.
constexpr std::string_view kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

AdminAnswer Text(int status, std::string_view type, std::string body) {
  AdminAnswer answer;
  answer.status = status;
  answer.content_type = type;
  answer.body = std::move(body);
  return answer;
}

AdminAnswer Error(int status, std::string_view text) {
  json::Writer out;
  out.BeginObject().Key("error").String(text).EndObject();
  return Text(status, "application/json", out.Take());
}

// What a handler needs of a request once its body is there.
struct Asked {
  std::string method;
  std::string path;
  std::string query;
  std::string id;
  std::string caller;
  AdminAccess::Role role = AdminAccess::Role::kNone;
};

bool Writes(const Asked& asked) { return asked.method != "GET" && asked.method != "HEAD"; }

// One line for every change that was asked for, whatever came of it.
void Audit(const Asked& asked, int status) {
  telemetry::LogInfo(Concat("audit: ", asked.method, " ", asked.path, " by ",
                            asked.caller.empty() ? "nobody known" : asked.caller, ": ", status));
}

AdminAnswer ReloadAnswer(const AdminSubject& subject, const Result<std::string>& applied) {
  if (!applied.ok()) return Error(422, applied.status().message());
  json::Writer out;
  out.BeginObject().Key("applied").String(*applied);
  out.Key("generation").Uint(subject.generation).EndObject();
  return Text(200, "application/json", out.Take());
}

// Why the caller may change nothing; empty: it may.
std::string_view WhyNoWrite(const AdminSubject& subject, AdminAccess::Role role) {
  if (!subject.writable) return "writing is not allowed";
  return role == AdminAccess::Role::kWrite ? "" : "your role is read";
}

std::string_view TypeOf(std::string_view path) {
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "text/html; charset=utf-8";
}

// "/api/tepal/pools/{upstream}/models[/{number}]".
AdminAnswer Models(AdminSubject& subject, std::string_view path) {
  const std::vector<std::string_view> parts = Split(path, '/');
  const bool known = (parts.size() == 6 || parts.size() == 7) && parts[5] == "models";
  const AdminPool* pool = known ? subject.Find(parts[4]) : nullptr;
  if (pool == nullptr) return Error(404, Concat("there is no ", path));
  if (parts.size() == 6) {
    return Text(200, "application/json", ModelsJson(pool->name, pool->control->ReadModels()));
  }
  const auto number = ParseNumber<ModelNumber>(parts[6]);
  if (!number.has_value()) {
    return Error(400, Concat("model '", parts[6], "', expected its number in the list of models"));
  }
  return Text(200, "application/json",
              ModelEndpointsJson(*number, pool->control->ReadModelEndpoints(*number)));
}

AdminAnswer Page(AdminSubject& subject, const Asked& asked) {
  const std::string_view path = asked.path;
  if (path == "/") {
    AdminAnswer answer = Text(302, "text/plain", "");
    answer.location = "/dashboard.html";
    return answer;
  }
  if (const std::string_view* file = FindDashboardFile(path)) {
    return Text(200, TypeOf(path), std::string(*file));
  }
  if (path == "/metrics") {
    return Text(200, "text/plain; version=0.0.4; charset=utf-8", subject.metrics.Text());
  }
  const std::string extra = subject.extra_state ? subject.extra_state() : std::string();
  if (path == "/api/tepal/pools") {
    const CallerRights caller{asked.caller, std::string(WhyNoWrite(subject, asked.role))};
    return Text(200, "application/json",
                PoolsJson(subject.Read(), extra, subject.identity, caller));
  }
  if (path.starts_with("/api/tepal/pools/")) return Models(subject, path);
  if (path == "/api/tepal/state" && !subject.pools.empty()) {
    return Text(200, "application/json", StateJson(subject.pools[0].control->Read(), extra));
  }
  return Error(404, Concat("there is no ", path,
                           "; try /dashboard.html, /metrics, /api/9/ or /api/tepal/pools"));
}

// The page itself says nothing of the balancer.
bool IsPublic(std::string_view path) { return path == "/" || FindDashboardFile(path) != nullptr; }

// Why the caller may not have it; 200 when it may.
AdminAnswer CheckAccess(const AdminSubject& subject, const Asked& asked, AdminAccess::Role role) {
  if (!Writes(asked) && IsPublic(asked.path)) return {};
  if (role == AdminAccess::Role::kNone && !asked.caller.empty()) {
    const std::string text = asked.caller + " has no role here";
    return ApiErrorAnswer({403, text, "Forbidden"}, asked.id);
  }
  if (role == AdminAccess::Role::kNone) {
    const std::string_view text = subject.certificates.has_value()
                                      ? "a bearer token or a client's certificate is needed"
                                      : "a bearer token is needed";
    return ApiErrorAnswer({401, text, "Unauthorized"}, asked.id);
  }
  if (!Writes(asked)) return {};
  if (!subject.writable) {
    return ApiErrorAnswer({405, "writing is not allowed", "MethodDisabled"}, asked.id);
  }
  if (role == AdminAccess::Role::kWrite) return {};
  return ApiErrorAnswer({403, Concat("the role of ", asked.caller, " is read"), "Forbidden"},
                        asked.id);
}

AdminAnswer Answer(AdminSubject& subject, const Asked& asked, std::string_view body) {
  const std::string& path = asked.path;
  if (path == "/api" || (path.starts_with("/api/") && !path.starts_with("/api/tepal/"))) {
    return AnswerNginxApi(subject, {asked.method, path, asked.query, body, asked.id});
  }
  if (asked.method != "GET" && asked.method != "HEAD") {
    return Error(405, Concat(asked.method, " is not supported"));
  }
  return Page(subject, asked);
}

std::string QueryOf(const std::string& target) {
  const size_t mark = target.find('?');
  return mark == std::string::npos ? std::string() : target.substr(mark + 1);
}

void Send(http::ResponseSender& sender, AdminAnswer answer) {
  http::ResponseHead head;
  head.status = answer.status;
  head.headers.Add("content-type", answer.content_type);
  head.headers.Add("cache-control", "no-store");
  head.headers.Add("content-security-policy", kContentPolicy);
  head.headers.Add("x-content-type-options", "nosniff");
  if (!answer.location.empty()) head.headers.Add("location", answer.location);
  if (answer.status == 401) head.headers.Add("www-authenticate", "Bearer");
  BufferList body;
  body.push_back(Buffer::Copy(answer.body));
  sender.Respond(std::move(head), std::move(body));
}

}  // namespace

std::unique_ptr<http::RequestHandler> AdminHandler::ForPeer(
    std::shared_ptr<const net::PeerCertificates> shown) {
  std::optional<net::CertifiedPeer> peer;
  if (shown != nullptr) {
    if (auto read = net::ReadCheckedPeer(*shown); read.ok()) peer = *std::move(read);
  }
  return std::make_unique<AdminHandler>(subject_, loop_, std::move(peer));
}

std::unique_ptr<http::RequestReceiver> AdminHandler::OnRequest(http::RequestHead head,
                                                               http::ResponseSender& sender) {
  const AdminAccess::Caller caller = FindCaller(
      subject_.access, subject_.certificates, head.headers.Get("authorization").value_or(""),
      peer_.has_value() ? &*peer_ : nullptr, loop_.WallNow());
  const Asked asked{
      head.method,          std::string(head.path()),
      QueryOf(head.target), std::string(head.headers.Get("x-request-id").value_or("")),
      caller.name,          caller.role};
  AdminAnswer refusal = CheckAccess(subject_, asked, caller.role);
  // Pages of other sites can send simple requests here, but not with this type.
  const bool is_json =
      head.headers.Get("content-type").value_or("").starts_with("application/json");
  if (refusal.status == 200 && Writes(asked) && head.has_body && !is_json) {
    refusal = Error(415, "content-type must be application/json");
  }
  if (refusal.status != 200) {
    if (Writes(asked)) Audit(asked, refusal.status);
    Send(sender, std::move(refusal));
    return std::make_unique<http::DiscardingRequest>();
  }
  if (asked.path == "/api/tepal/reload" && asked.method == "POST") {
    return Reload(head, caller.name, sender);
  }
  if (asked.path == "/api/tepal/fleet" && asked.method == "GET" && subject_.fleet) {
    return Fleet(head, sender);
  }
  const auto answer = [&subject = subject_, asked, &sender](std::string_view body) {
    AdminAnswer done = Answer(subject, asked, body);
    if (Writes(asked)) Audit(asked, done.status);
    Send(sender, std::move(done));
  };
  if (!head.has_body) {
    answer("");
    return std::make_unique<http::DiscardingRequest>();
  }
  return std::make_unique<http::CollectingRequest>(head, kBodyBytesMax, sender,
                                                   [answer](Buffer body) { answer(body.text()); });
}

// Answered when the configuration has been applied: names may have to be looked up, and the
// connection, with its handler, may have gone by then.
std::unique_ptr<http::RequestReceiver> AdminHandler::Reload(const http::RequestHead& head,
                                                            std::string caller,
                                                            http::ResponseSender& sender) {
  if (!subject_.reload) {
    Send(sender, Error(409, "there is no configuration file to read again"));
    return std::make_unique<http::DiscardingRequest>();
  }
  auto waits = std::make_shared<bool>(true);
  return std::make_unique<http::CollectingRequest>(
      head, kBodyBytesMax, sender,
      [&subject = subject_, waits, &sender, caller = std::move(caller)](Buffer) {
        subject.reload([&subject, waits, &sender, caller](Result<std::string> applied) {
          AdminAnswer answer = ReloadAnswer(subject, applied);
          Audit({"POST", "/api/tepal/reload", "", "", caller}, answer.status);
          if (*waits) Send(sender, std::move(answer));
        });
      },
      [waits](const Status&) { *waits = false; });
}

// Answered when the others have. A token is for those that know it: where none is wanted here,
// what the client sends is meant for somebody else.
std::unique_ptr<http::RequestReceiver> AdminHandler::Fleet(const http::RequestHead& head,
                                                           http::ResponseSender& sender) {
  auto waits = std::make_shared<bool>(true);
  std::string authorization(head.headers.Get("authorization").value_or(""));
  if (subject_.access.open()) authorization.clear();
  return std::make_unique<http::CollectingRequest>(
      head, kBodyBytesMax, sender,
      [&subject = subject_, waits, &sender, authorization = std::move(authorization)](Buffer) {
        subject.fleet(authorization, [waits, &sender](Result<std::string> json) {
          if (!*waits) return;
          Send(sender, json.ok() ? Text(200, "application/json", *std::move(json))
                                 : Error(503, json.status().message()));
        });
      },
      [waits](const Status&) { *waits = false; });
}

}  // namespace tepal::lb
