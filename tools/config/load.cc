// SPDX-License-Identifier: Apache-2.0
#include "tools/config/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tools/config/ini.h"
#include "tools/config/schema.h"
#include "tools/config/suggest.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

// The address of a Unix socket has room for so much.
constexpr size_t kMaxSocketPath = 107;

std::string Absolute(const std::string& base, const std::string& path) {
  std::string text = (fs::path(base) / path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

template <typename Target>
Status SetKey(Target& target, std::span<const KeyRow<Target>> rows, const IniEntry& entry,
              const std::string& file) {
  std::vector<std::string_view> known;
  for (const auto& row : rows) {
    if (row.key == entry.key) {
      const Status status = row.set(target, entry.value);
      if (status.ok()) return {};
      return ConfigError(file, entry.line, fmt::format("{}: {}", entry.key, status.message()));
    }
    known.push_back(row.key);
  }
  return ConfigError(file, entry.line,
                     fmt::format("unknown key '{}'{}", entry.key, Suggest(entry.key, known)));
}

NodeConfig EmptyConfig(const std::string& path) {
  NodeConfig config;
  config.file = path;
  config.state_dir = ".";
  config.nbd_socket = "nbd.sock";
  return config;
}

// What is relative in it becomes absolute.
void Locate(NodeConfig& config) {
  const std::string folder = fs::path(config.file).parent_path().string();
  config.state_dir = Absolute(folder, config.state_dir);
  config.nbd_socket = Absolute(config.state_dir, config.nbd_socket);
}

// Whether it says where the state is.
bool SetWhatIsKnown(NodeConfig& config, const IniSection& section) {
  bool located = false;
  for (const IniEntry& entry : section.entries) {
    const Status set = SetKey(config, NodeKeys(), entry, config.file);
    if (set.ok() && entry.key == "state") located = true;
  }
  return located;
}

Status ReadNode(NodeConfig& config, const IniSection& section) {
  if (!section.name.empty()) return ConfigError(config.file, section.line, "[node] has no name");
  for (const IniEntry& entry : section.entries) {
    RETURN_IF_ERROR(SetKey(config, NodeKeys(), entry, config.file));
  }
  return {};
}

Status ReadStore(NodeConfig& config, const IniSection& section) {
  if (section.name.empty()) {
    return ConfigError(config.file, section.line, "a store has a name: [store NAME]");
  }
  StoreConfig store;
  store.name = section.name;
  for (const IniEntry& entry : section.entries) {
    if (entry.key.starts_with(kOptionPrefix)) {
      const std::string name = entry.key.substr(kOptionPrefix.size());
      // Twice and in two ways, one of them would win in silence.
      const bool is_key =
          std::ranges::any_of(StoreKeys(), [&](const auto& row) { return row.key == name; });
      if (is_key) {
        return ConfigError(
            config.file, entry.line,
            fmt::format("'{}' is no option of a driver: say {} = VALUE", name, name));
      }
      store.options[name] = entry.value;
    } else {
      RETURN_IF_ERROR(SetKey(store, StoreKeys(), entry, config.file));
    }
  }
  const bool second = store.is_default && std::ranges::any_of(config.stores, [](const auto& other) {
                        return other.is_default;
                      });
  if (second) return ConfigError(config.file, section.line, "a second default store");
  config.stores.push_back(std::move(store));
  return {};
}

Status ReadSection(NodeConfig& config, const IniSection& section) {
  constexpr std::string_view kKnown[] = {"node", "store"};
  if (section.kind == "node") return ReadNode(config, section);
  if (section.kind == "store") return ReadStore(config, section);
  return ConfigError(
      config.file, section.line,
      fmt::format("unknown section [{}]{}", section.kind, Suggest(section.kind, kKnown)));
}

void FillStores(NodeConfig& config) {
  if (std::ranges::none_of(config.stores, &StoreConfig::is_default)) {
    config.stores.front().is_default = true;
  }
  for (StoreConfig& store : config.stores) {
    if (store.path.empty()) store.path = store.name == "default" ? "store" : "store-" + store.name;
    store.path = Absolute(config.state_dir, store.path);
  }
  if (config.catalog.empty()) config.catalog = config.stores.front().name;
}

Status CheckWhole(const NodeConfig& config) {
  for (const std::string& socket :
       {config.control_socket(), config.local_socket(), config.nbd_socket}) {
    if (socket.size() > kMaxSocketPath) {
      return {Code::kInvalid,
              fmt::format("{}: {} is too long for a socket, which has at most {} bytes",
                          config.file, socket, kMaxSocketPath)};
    }
  }
  if (std::ranges::find(config.stores, config.catalog, &StoreConfig::name) == config.stores.end()) {
    return {Code::kInvalid,
            fmt::format("{}: catalog: there is no [store {}]", config.file, config.catalog)};
  }
  return {};
}

Result<std::string> ReadText(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return Status(Code::kInvalid, path + ": is a folder");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return Status::FromErrno(errno == 0 ? ENOENT : errno, path);
  // One byte more than is allowed shows that it is too much, however long the file is.
  std::string text(kMaxConfigBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return Status(Code::kIo, path + ": cannot be read");
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

template <typename Target>
std::string Describe(std::span<const KeyRow<Target>> rows, std::string_view placement) {
  std::string text;
  for (const auto& row : rows) {
    text += "\n";
    std::istringstream help{std::string(row.help)};
    for (std::string line; std::getline(help, line);) text += "# " + line + "\n";
    const bool chosen = row.key == "placement";
    const std::string_view value = chosen ? placement : row.fallback;
    text += fmt::format("{}{} ={}{}\n", value.empty() ? "#" : "", row.key, value.empty() ? "" : " ",
                        value);
  }
  return text;
}

}  // namespace

Result<std::string> FindConfig(std::string_view given) {
  if (!given.empty()) return std::string(given);
  if (const char* environment = std::getenv("ATOLL_CONFIG"); environment && *environment) {
    return std::string(environment);
  }
  std::error_code error;
  for (const char* place : {"./var/atoll.conf", "/etc/atoll/atoll.conf"}) {
    if (fs::exists(place, error)) return std::string(place);
  }
  return Status(Code::kNotFound,
                "no configuration: neither --config nor $ATOLL_CONFIG is given, and neither "
                "./var/atoll.conf nor /etc/atoll/atoll.conf exists; make one with: "
                "atoll node init --state ./var");
}

Result<NodeConfig> ParseConfig(std::string_view text, const std::string& path) {
  NodeConfig config = EmptyConfig(path);
  ASSIGN_OR_RETURN(const auto sections, ParseIni(text, path));
  for (const IniSection& section : sections) RETURN_IF_ERROR(ReadSection(config, section));
  Locate(config);
  if (config.stores.empty()) {
    // Most likely it was cut off; a store of its own choosing is the last thing a node should make.
    return Status(Code::kInvalid,
                  fmt::format("{}: there is no [store NAME] in it; 'atoll node init --state DIR' "
                              "writes a whole configuration",
                              path));
  }
  FillStores(config);
  RETURN_IF_ERROR(CheckWhole(config));
  return config;
}

Result<NodeConfig> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  if (error) return Status::FromErrno(error.value(), path);
  return ParseConfig(text, whole.lexically_normal().string());
}

Result<NodeConfig> LoadConfigOfRunningNode(const std::string& path, Status* wrong) {
  auto whole = LoadConfig(path);
  *wrong = whole.status();
  if (whole.code() != Code::kInvalid) return whole;
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  std::error_code error;
  NodeConfig config = EmptyConfig(fs::absolute(path, error).lexically_normal().string());
  const auto sections = ParseIni(text, config.file);
  if (!sections.ok()) return sections.status();
  bool located = false;
  for (const IniSection& section : *sections) {
    if (section.kind == "node" && SetWhatIsKnown(config, section)) located = true;
  }
  // It may be the very line that is wrong, and then this would be another node.
  if (!located) return *wrong;
  Locate(config);
  return config;
}

std::string InitialConfig(Placement placement) {
  const std::string_view chosen = ToString(placement);
  return "# Configuration of an Atoll node. Lines that start with # are comments.\n"
         "# Start the node with: atoll --config THIS_FILE node start\n\n[node]\n" +
         Describe(NodeKeys(), chosen) +
         "\n# A place for data. There may be several, each with a name of its own.\n"
         "[store default]\n" +
         Describe(StoreKeys(), chosen) +
         "\n# What only a driver knows is set by option.NAME = VALUE.\n";
}

}  // namespace atl
