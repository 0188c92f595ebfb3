// Manifests and what belongs to them, read from files: Kubernetes objects, the rules of a metrics
// adapter, nginx.conf, and the text that explains them.
//
// Reading finds the faults of form: YAML that does not parse (read on as it was meant, where that
// is plain; see yaml_repair.h) and field names in the wrong case. What the objects say is the work
// of check_manifests.h. Pure: the caller has read the files.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/diagnosis/finding.h"
#include "apps/diagnosis/tree.h"

namespace tepal::diagnosis {

struct InputFile {
  std::string path;
  std::string text;
};

// What `tepal check manifests DIR` takes from a directory.
bool IsManifestFile(std::string_view path);  // .yaml, .yml, .json
bool IsNginxFile(std::string_view path);     // .conf
bool IsProseFile(std::string_view path);     // .md, .txt, .sh

struct Manifest {
  std::string file;
  size_t slice = 0;  // Which document of the file.
  std::string api_version, kind, name;
  std::string name_space;  // As written; see Namespace().
  std::shared_ptr<const YamlNode> root;
  std::vector<std::string> accepted;  // Codes of its annotation tepal/accept.

  // Where it lands when nobody says otherwise.
  std::string_view Namespace() const {
    return name_space.empty() ? std::string_view("default") : std::string_view(name_space);
  }
  std::string_view Group() const;  // "apps"; "" for v1.
  int line() const { return root->line; }
  const YamlNode* get() const { return root.get(); }
  std::string Words() const { return kind + " '" + name + "'"; }
};

// A text inside a file, or a whole one.
struct TextPart {
  std::string file;
  int first_line = 1;
  std::string text;
  const Manifest* owner = nullptr;  // The ConfigMap it is in.
};

// One rule of prometheus-adapter's configuration.
struct AdapterRule {
  std::string file;
  int line = 0;
  int query_line = 0;
  std::string metric;  // As it is published; empty when that cannot be told.
  std::string series_query, metrics_query;
  std::string name_space;  // That the series query asks for; empty: any.
  bool external = false;
};

struct Bundle {
  std::vector<std::unique_ptr<Manifest>> manifests;
  std::vector<AdapterRule> rules;
  std::vector<TextPart> nginx;
  std::vector<TextPart> prose;
  std::vector<std::string> file_names;  // Of all files, without their directories.
  std::vector<Finding> findings;        // Of form.

  // Those of one kind, whatever their version.
  std::vector<const Manifest*> OfKind(std::string_view kind) const;
  const Manifest* FindObject(std::string_view kind, std::string_view name_space,
                             std::string_view name) const;
};

Bundle ReadBundle(std::span<const InputFile> files);

// What one document of a file is, read with repairs; null when it is no mapping that can be read.
// Faults go to `findings`, which may be null.
std::shared_ptr<YamlNode> ReadDocument(const options::YamlSlice& slice, const std::string& file,
                                       std::vector<Finding>* findings);

}  // namespace tepal::diagnosis
