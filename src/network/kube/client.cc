#include "network/kube/client.h"

#include <deque>
#include <utility>

#include "core/base/text.h"
#include "network/kube/client_impl.h"

namespace tepal::kube {
namespace {

std::string WithSelectors(std::string query, const Selectors& selectors) {
  if (!selectors.labels.empty()) query += Concat("&labelSelector=", EscapeUrl(selectors.labels));
  if (!selectors.fields.empty()) query += Concat("&fieldSelector=", EscapeUrl(selectors.fields));
  return query;
}

std::string_view ContentTypeOf(PatchKind kind) {
  switch (kind) {
    case PatchKind::kMerge:
      return "application/merge-patch+json";
    case PatchKind::kStrategic:
      return "application/strategic-merge-patch+json";
    case PatchKind::kJson:
      return "application/json-patch+json";
    case PatchKind::kApply:
      return "application/apply-patch+yaml";
  }
  return {};
}

// One list, page after page.
struct Listing {
  std::string path;
  std::string query;
  ObjectList so_far;
  int pages = 0;
  Function<void(Answer, ObjectList)> done;
};

// Moves the page's objects over; the token for the next page, or empty.
Result<std::string> TakePage(json::Value& page, ObjectList& into) {
  const json::Value* items = page.Find("items");
  if (items == nullptr || (items->AsArray() == nullptr && !items->is_null())) {
    return InvalidArgument("the answer to a list: field 'items': expected a list");
  }
  if (items->AsArray() != nullptr) {
    for (const json::Value& item : *items->AsArray()) into.objects.push_back(item);
  }
  into.resource_version = TextAt(page, "metadata", "resourceVersion");
  return std::string(TextAt(page, "metadata", "continue"));
}

void NextPage(Client& client, const Client::Options& options, std::shared_ptr<Listing> listing,
              const std::string& from) {
  Request request;
  request.path = listing->path;
  request.query = listing->query;
  if (!from.empty()) request.query += Concat("&continue=", EscapeUrl(from));
  client.Send(std::move(request), [&client, &options, listing](Answer answer) {
    if (!answer.ok()) return listing->done(std::move(answer), {});
    Result<std::string> next = TakePage(answer.body, listing->so_far);
    if (!next.ok()) return listing->done(FailedAnswer(next.status()), {});
    if (next->empty()) return listing->done(Answer(), std::move(listing->so_far));
    if (++listing->pages >= options.pages_max) {
      return listing->done(FailedAnswer(ResourceExhausted(
                               Concat("a list of more than ", options.pages_max, " pages"))),
                           {});
    }
    NextPage(client, options, listing, *next);
  });
}

}  // namespace

Result<std::unique_ptr<Client>> Client::New(env::EventLoop& loop, World world, ClusterAccess access,
                                            Options options) {
  ASSIGN_OR_RETURN(auto credentials,
                   Credentials::New(world.files, world.clock, access,
                                    {options.token_age_max, options.tls_reload_interval}));
  return std::unique_ptr<Client>(new Client(std::make_shared<Impl>(
      loop, world, std::move(access), std::move(options), std::move(credentials))));
}

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

const ClusterAccess& Client::access() const { return impl_->access(); }

void Client::Send(Request request, Done done) {
  impl_->Send(std::move(request), std::move(done), false);
}

void Client::Get(const ObjectRef& object, Done done) {
  Request request;
  request.path = PathOf(object);
  Send(std::move(request), std::move(done));
}

void Client::Create(const Collection& collection, std::string object, Done done) {
  Request request;
  request.method = "POST";
  request.path = PathOf(collection);
  request.body = std::move(object);
  Send(std::move(request), std::move(done));
}

void Client::Update(const ObjectRef& object, std::string content, Done done) {
  Request request;
  request.method = "PUT";
  request.path = PathOf(object);
  request.body = std::move(content);
  Send(std::move(request), std::move(done));
}

void Client::Patch(const ObjectRef& object, PatchKind kind, std::string patch, Done done,
                   std::string query) {
  Request request;
  request.method = "PATCH";
  request.path = PathOf(object);
  request.query = std::move(query);
  request.body = std::move(patch);
  request.content_type = ContentTypeOf(kind);
  Send(std::move(request), std::move(done));
}

void Client::Delete(const ObjectRef& object, std::string options, Done done) {
  Request request;
  request.method = "DELETE";
  request.path = PathOf(object);
  request.body = std::move(options);
  Send(std::move(request), std::move(done));
}

void Client::List(const Collection& collection, const Selectors& selectors,
                  Function<void(Answer, ObjectList)> done) {
  auto listing = std::make_shared<Listing>();
  listing->path = PathOf(collection);
  listing->query = WithSelectors(Concat("limit=", impl_->options().page_objects), selectors);
  listing->done = std::move(done);
  NextPage(*this, impl_->options(), std::move(listing), {});
}

std::unique_ptr<Client::Watching> Client::Watch(const Collection& collection,
                                                const Selectors& selectors,
                                                const std::string& resource_version,
                                                Function<void(WatchEvent)> on_event, Done on_end) {
  const auto time = std::chrono::duration_cast<std::chrono::seconds>(impl_->NextWatchTime());
  Request request;
  request.path = PathOf(collection);
  request.query =
      WithSelectors(Concat("watch=true&allowWatchBookmarks=true&timeoutSeconds=", time.count(),
                           "&resourceVersion=", EscapeUrl(resource_version)),
                    selectors);
  return impl_->Watch(std::move(request), time, std::move(on_event), std::move(on_end));
}

}  // namespace tepal::kube
