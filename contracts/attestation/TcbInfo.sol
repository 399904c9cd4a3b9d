// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Json} from "./Json.sol";
import {TcbStatus} from "./TcbStatus.sol";

/// @title TCB info for TDX, version 3
/// @notice The document that Intel's provisioning service signs for one FMSPC, read into what bears on quotes.
library TcbInfo {
    using Json for Json.Cursor;

    struct Document {
        /// Unix seconds.
        uint256 issueDate;
        uint256 nextUpdate;
        bytes6 fmspc;
        bytes2 pceId;
        uint16 evaluation;
        /// As TcbTable describes it.
        bytes table;
    }

    uint256 private constant ID = 1 << 0;
    uint256 private constant VERSION = 1 << 1;
    uint256 private constant ISSUE_DATE = 1 << 2;
    uint256 private constant NEXT_UPDATE = 1 << 3;
    uint256 private constant FMSPC = 1 << 4;
    uint256 private constant PCE_ID = 1 << 5;
    uint256 private constant TCB_TYPE = 1 << 6;
    uint256 private constant EVALUATION = 1 << 7;
    uint256 private constant MODULE = 1 << 8;
    uint256 private constant MODULES = 1 << 9;
    uint256 private constant LEVELS = 1 << 10;
    /// tdxModuleIdentities is absent where all there is is the module of `tdxModule`.
    uint256 private constant REQUIRED = (1 << 11) - 1 - MODULES;

    uint256 private constant SGX_SVNS = 1 << 0;
    uint256 private constant TDX_SVNS = 1 << 1;
    uint256 private constant PCE_SVN = 1 << 2;

    error TooManyEntries();

    /// @dev Reads the document. Its signature is not checked here.
    function parse(bytes memory text) internal pure returns (Document memory document) {
        Json.Cursor memory json = Json.open(text);
        (bytes memory module, bytes memory modules, bytes memory levels) = ("", hex"00", "");
        uint256 seen;
        json.enter("{");
        do {
            bytes32 key = json.key();
            uint256 field;
            if (key == "id") {
                field = ID;
                require(json.textHash() == keccak256("TDX"), Json.InvalidField(key));
            } else if (key == "version") {
                field = VERSION;
                require(json.number() == 3, Json.InvalidField(key));
            } else if (key == "issueDate") {
                field = ISSUE_DATE;
                document.issueDate = json.date();
            } else if (key == "nextUpdate") {
                field = NEXT_UPDATE;
                document.nextUpdate = json.date();
            } else if (key == "fmspc") {
                field = FMSPC;
                document.fmspc = bytes6(uint48(json.hexadecimal(6)));
            } else if (key == "pceId") {
                field = PCE_ID;
                document.pceId = bytes2(uint16(json.hexadecimal(2)));
            } else if (key == "tcbType") {
                // how SVNs are compared: 0 is component by component, the only way defined
                field = TCB_TYPE;
                require(json.number() == 0, Json.InvalidField(key));
            } else if (key == "tcbEvaluationDataNumber") {
                field = EVALUATION;
                document.evaluation = json.number16();
            } else if (key == "tdxModule") {
                field = MODULE;
                module = _module(json, false);
            } else if (key == "tdxModuleIdentities") {
                field = MODULES;
                modules = _modules(json);
            } else if (key == "tcbLevels") {
                field = LEVELS;
                levels = _levels(json);
            } else {
                json.skip();
            }
            require(seen & field == 0, Json.InvalidField(key));
            seen |= field;
        } while (json.more("}"));
        json.finish();
        require(seen & REQUIRED == REQUIRED, Json.InvalidField(0));

        document.table = bytes.concat(_append(modules, module), levels);
    }

    /// @dev A status by its name; what is unknown is refused.
    function status(Json.Cursor memory json) internal pure returns (TcbStatus) {
        bytes32 name = json.textHash();
        if (name == keccak256("UpToDate")) return TcbStatus.UpToDate;
        if (name == keccak256("SWHardeningNeeded")) return TcbStatus.SWHardeningNeeded;
        if (name == keccak256("ConfigurationNeeded")) return TcbStatus.ConfigurationNeeded;
        // solhint-disable-next-line gas-small-strings
        if (name == keccak256("ConfigurationAndSWHardeningNeeded")) return TcbStatus.ConfigurationAndSWHardeningNeeded;
        if (name == keccak256("OutOfDate")) return TcbStatus.OutOfDate;
        if (name == keccak256("OutOfDateConfigurationNeeded")) return TcbStatus.OutOfDateConfigurationNeeded;
        require(name == keccak256("Revoked"), Json.InvalidField("tcbStatus"));
        return TcbStatus.Revoked;
    }

    /// @dev An array of { tcb: { isvsvn }, tcbStatus }, as modules and quoting enclaves have it: number (1) ‖ { isvsvn (2) ‖ status (1) }.
    function isvLevels(Json.Cursor memory json) internal pure returns (bytes memory levels) {
        levels = hex"00";
        if (!json.tryEnter("[")) return levels;
        do {
            uint256 seen;
            uint16 isvSvn;
            TcbStatus status_;
            json.enter("{");
            do {
                bytes32 key = json.key();
                uint256 field;
                if (key == "tcb") {
                    field = 1;
                    json.enter("{");
                    require(json.key() == "isvsvn", Json.InvalidField(key));
                    isvSvn = json.number16();
                    require(!json.more("}"), Json.InvalidField(key));
                } else if (key == "tcbStatus") {
                    field = 2;
                    status_ = status(json);
                } else {
                    json.skip();
                }
                require(seen & field == 0, Json.InvalidField(key));
                seen |= field;
            } while (json.more("}"));
            require(seen == 3, Json.InvalidField("tcbLevels"));
            levels = _append(levels, abi.encodePacked(isvSvn, status_));
        } while (json.more("]"));
    }

    function _modules(Json.Cursor memory json) private pure returns (bytes memory modules) {
        modules = hex"00";
        if (!json.tryEnter("[")) return modules;
        do {
            modules = _append(modules, _module(json, true));
        } while (json.more("]"));
    }

    /// { mrsigner, attributes, attributesMask }, and { id, tcbLevels } if it is one of several.
    function _module(Json.Cursor memory json, bool hasLevels) private pure returns (bytes memory) {
        uint256 seen;
        uint8 version;
        bytes memory signer;
        (uint64 attributes, uint64 mask) = (0, 0);
        bytes memory levels = hex"00";
        json.enter("{");
        do {
            bytes32 key = json.key();
            uint256 field;
            if (key == "mrsigner") {
                field = 1;
                signer = json.hexadecimalBytes(48);
            } else if (key == "attributes") {
                field = 2;
                attributes = uint64(json.hexadecimal(8));
            } else if (key == "attributesMask") {
                field = 4;
                mask = uint64(json.hexadecimal(8));
            } else if (hasLevels && key == "id") {
                field = 8;
                version = _version(json);
            } else if (hasLevels && key == "tcbLevels") {
                field = 16;
                levels = isvLevels(json);
            } else {
                json.skip();
            }
            require(seen & field == 0, Json.InvalidField(key));
            seen |= field;
        } while (json.more("}"));
        require(seen == (hasLevels ? 31 : 7), Json.InvalidField("tdxModule"));
        return abi.encodePacked(version, signer, attributes, mask, levels);
    }

    /// "TDX_03" is version 3; the digits are hexadecimal.
    function _version(Json.Cursor memory json) private pure returns (uint8) {
        bytes32 id = json.word();
        require(bytes4(id) == "TDX_" && uint256(id) << 48 == 0, Json.InvalidField("id"));
        return uint8((Json.digit(uint8(id[4])) << 4) | Json.digit(uint8(id[5])));
    }

    function _levels(Json.Cursor memory json) private pure returns (bytes memory levels) {
        levels = hex"00";
        if (!json.tryEnter("[")) return levels;
        do {
            uint256 seen;
            bytes memory tcb;
            TcbStatus status_;
            json.enter("{");
            do {
                bytes32 key = json.key();
                uint256 field;
                if (key == "tcb") {
                    field = 1;
                    tcb = _tcb(json);
                } else if (key == "tcbStatus") {
                    field = 2;
                    status_ = status(json);
                } else {
                    json.skip();
                }
                require(seen & field == 0, Json.InvalidField(key));
                seen |= field;
            } while (json.more("}"));
            require(seen == 3, Json.InvalidField("tcbLevels"));
            levels = _append(levels, abi.encodePacked(tcb, status_));
        } while (json.more("]"));
    }

    function _tcb(Json.Cursor memory json) private pure returns (bytes memory) {
        uint256 seen;
        (uint128 sgx, uint128 tdx, uint16 pceSvn) = (0, 0, 0);
        json.enter("{");
        do {
            bytes32 key = json.key();
            uint256 field;
            if (key == "sgxtcbcomponents") {
                field = SGX_SVNS;
                sgx = _components(json);
            } else if (key == "tdxtcbcomponents") {
                field = TDX_SVNS;
                tdx = _components(json);
            } else if (key == "pcesvn") {
                field = PCE_SVN;
                pceSvn = json.number16();
            } else {
                json.skip();
            }
            require(seen & field == 0, Json.InvalidField(key));
            seen |= field;
        } while (json.more("}"));
        require(seen == SGX_SVNS | TDX_SVNS | PCE_SVN, Json.InvalidField("tcb"));
        return abi.encodePacked(sgx, tdx, pceSvn);
    }

    /// 16 of { svn, … }.
    function _components(Json.Cursor memory json) private pure returns (uint128 svns) {
        uint256 count;
        json.enter("[");
        do {
            uint256 seen;
            json.enter("{");
            do {
                if (json.key() != "svn") {
                    json.skip();
                    continue;
                }
                uint256 svn = json.number();
                require(svn <= type(uint8).max, Json.InvalidField("svn"));
                svns = (svns << 8) | uint128(svn);
                ++seen;
            } while (json.more("}"));
            require(seen == 1, Json.InvalidField("svn"));
            ++count;
        } while (json.more("]"));
        require(count == 16, Json.InvalidField("svn"));
    }

    /// A list with one entry more; its first byte is the number of them.
    function _append(bytes memory list, bytes memory entry) private pure returns (bytes memory) {
        uint8 count = uint8(list[0]);
        require(count != type(uint8).max, TooManyEntries());
        list[0] = bytes1(count + 1);
        return bytes.concat(list, entry);
    }
}
