#include "balancing/load_balancer/admin_handler.h"

#include <string>
#include <utility>

#include "balancing/load_balancer/balancer.h"
#include "balancing/load_balancer/dashboard.h"
#include "balancing/load_balancer/nginx_api.h"
#include "balancing/load_balancer/state_json.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/http/body_collector.h"

namespace tepal::lb {

namespace {

constexpr uint64_t kBodyBytesMax = 64 * 1024;

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

AdminAnswer Answer(Balancer& balancer, std::string_view method, std::string_view path,
                   std::string_view body) {
  if (path == "/api" || (path.starts_with("/api/") && !path.starts_with("/api/tepal/"))) {
    return AnswerNginxApi(balancer, method, path, body);
  }
  if (method != "GET" && method != "HEAD") return Error(405, Concat(method, " is not supported"));
  if (path == "/") {
    AdminAnswer answer = Text(302, "text/plain", "");
    answer.location = "/dashboard.html";
    return answer;
  }
  if (path == "/dashboard.html") {
    return Text(200, "text/html; charset=utf-8", std::string(DashboardPage()));
  }
  if (path == "/metrics") {
    return Text(200, "text/plain; version=0.0.4; charset=utf-8", balancer.metrics().Text());
  }
  if (path == "/api/tepal/state") {
    return Text(200, "application/json", StateJson(balancer.Read(), balancer.ExtraState()));
  }
  return Error(404, Concat("there is no ", path,
                           "; try /dashboard.html, /metrics, /api/9/ or /api/tepal/state"));
}

void Send(http::ResponseSender& sender, AdminAnswer answer) {
  http::ResponseHead head;
  head.status = answer.status;
  head.headers.Add("content-type", answer.content_type);
  head.headers.Add("cache-control", "no-store");
  if (!answer.location.empty()) head.headers.Add("location", answer.location);
  BufferList body;
  body.push_back(Buffer::Copy(answer.body));
  sender.Respond(std::move(head), std::move(body));
}

}  // namespace

std::unique_ptr<http::RequestReceiver> AdminHandler::OnRequest(http::RequestHead head,
                                                               http::ResponseSender& sender) {
  // Pages of other sites can send simple requests here, but not with this type.
  const bool writes = head.method != "GET" && head.method != "HEAD";
  const bool is_json =
      head.headers.Get("content-type").value_or("").starts_with("application/json");
  if (writes && head.has_body && !is_json) {
    Send(sender, Error(415, "content-type must be application/json"));
    return std::make_unique<http::DiscardingRequest>();
  }
  if (!head.has_body) {
    Send(sender, Answer(balancer_, head.method, head.path(), ""));
    return std::make_unique<http::DiscardingRequest>();
  }
  return std::make_unique<http::CollectingRequest>(
      head, kBodyBytesMax, sender,
      [this, method = head.method, path = std::string(head.path()), &sender](Buffer body) {
        Send(sender, Answer(balancer_, method, path, body.text()));
      });
}

}  // namespace tepal::lb
