// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CodeStore} from "./CodeStore.sol";
import {EcdsaP256} from "./EcdsaP256.sol";
import {ICollateralRegistry, PlatformEvidence} from "./ICollateralRegistry.sol";
import {IQuoteVerifier, Verdict} from "./IQuoteVerifier.sol";
import {TcbStatus} from "./TcbStatus.sol";
import {TcbTable} from "./TcbTable.sol";

/// @title TDX quotes
/// @notice "Intel TDX DCAP Quoting Library API", appendix 3: header (48 bytes) ‖ in version 5 type and size of the body (6) ‖ body, which together are
/// signed; then size of the signature data (4) ‖ signature (64) ‖ attestation key (64) ‖ what CollateralRegistry.addAttestationKey has seen.
/// @dev Immutable, without state of its own: another verifier is another contract.
contract QuoteVerifier is IQuoteVerifier {
    uint256 private constant HEADER = 48;
    uint256 private constant BODY_DESCRIPTOR = 6;
    uint256 private constant TD_REPORT_10 = 584;
    uint256 private constant TD_REPORT_15 = 648;
    /// Size of the signature data, signature, attestation key.
    uint256 private constant SIGNATURE_DATA = 4 + 64 + 64;

    /// First bytes of the header, little-endian: version (2) ‖ key type 2, ECDSA P-256 (2) ‖ TEE type 0x81, TDX (4).
    bytes8 private constant VERSION_4 = 0x0400020081000000;
    bytes8 private constant VERSION_5 = 0x0500020081000000;
    /// Type (2) ‖ size (4) of a body of version 5, little-endian.
    bytes6 private constant BODY_TDX_10 = 0x020048020000;
    bytes6 private constant BODY_TDX_15 = 0x030088020000;
    uint256 private constant QE_VENDOR = 12;
    /// Intel, of the quoting enclave.
    bytes16 private constant INTEL = 0x939a7233f79c4ca9940a0db3957f0607;

    // Offsets in a TD report.
    uint256 private constant MR_SEAM_SIGNER = 64;
    uint256 private constant SEAM_ATTRIBUTES = 112;
    uint256 private constant TD_ATTRIBUTES = 120;
    uint256 private constant MR_TD = 136;
    uint256 private constant MR_CONFIG_ID = 184;
    uint256 private constant RT_MR_1 = 376;
    uint256 private constant REPORT_DATA = 520;
    uint256 private constant MR_SERVICE_TD = 600;

    /// Attributes that a trust domain may have, in the order of the bytes: SEPT_VE_DISABLE (bit 28), PKS (30), KL (31), PERFMON (63). Not DEBUG, not
    /// MIGRATABLE, nothing reserved.
    bytes8 private constant ALLOWED_ATTRIBUTES = 0x000000d000000080;
    /// Without it the host can inject faults into reads of memory that it took away.
    bytes8 private constant SEPT_VE_DISABLE = 0x0000001000000000;

    /// @inheritdoc IQuoteVerifier
    ICollateralRegistry public immutable collateral;
    /// @inheritdoc IQuoteVerifier
    bool public immutable development;

    /// @param collateral_ what quotes are judged by
    /// Reverts DevelopmentRoot if it is a development registry, and the chain id neither 31337 nor 1337.
    constructor(ICollateralRegistry collateral_) {
        collateral = collateral_;
        development = collateral_.development();
        require(
            !development || block.chainid == 31337 || block.chainid == 1337,
            ICollateralRegistry.DevelopmentRoot(block.chainid)
        );
    }

    /// @inheritdoc IQuoteVerifier
    function verify(bytes calldata quote) external view returns (Verdict memory verdict) {
        (uint256 report, uint256 end) = _parse(quote);
        PlatformEvidence memory evidence = collateral.evidenceOf(_checkSignature(quote, end));
        _checkTrustDomain(quote, report, end);

        bytes16 tcbSvn = bytes16(_word(quote, report));
        bytes memory table = CodeStore.read(evidence.tcbTable);
        uint256 module = _module(table, tcbSvn);
        require(
            TcbTable.matches(
                table,
                module,
                _word(quote, report + MR_SEAM_SIGNER),
                bytes16(_word(quote, report + MR_SEAM_SIGNER + 32)),
                bytes8(_word(quote, report + SEAM_ATTRIBUTES))
            ),
            WrongTdxModule(uint8(tcbSvn[1]))
        );
        return
            Verdict({
                status: _status(evidence, table, module, tcbSvn),
                evaluation: evidence.evaluation,
                until: evidence.until,
                attestationKey: evidence.attestationKey,
                pck: evidence.pck,
                tcbSvn: tcbSvn,
                measurement: _measurement(quote, report),
                reportData: _word(quote, report + REPORT_DATA),
                freshness: _word(quote, report + REPORT_DATA + 32)
            });
    }

    /// @inheritdoc IQuoteVerifier
    function standingOf(
        uint40 attestationKey,
        bytes16 tcbSvn
    ) external view returns (TcbStatus status, uint16 evaluation, uint40 until) {
        PlatformEvidence memory evidence = collateral.evidenceAt(attestationKey);
        bytes memory table = CodeStore.read(evidence.tcbTable);
        status = _status(evidence, table, _module(table, tcbSvn), tcbSvn);
        return (status, evidence.evaluation, evidence.until);
    }

    /// Where the report in a quote begins, and where it and all that is signed ends.
    function _parse(bytes calldata quote) private pure returns (uint256 report, uint256 end) {
        require(quote.length >= HEADER + BODY_DESCRIPTOR, WrongQuoteLength(quote.length, HEADER + BODY_DESCRIPTOR));
        bytes8 header = bytes8(_word(quote, 0));
        bytes6 descriptor = header == VERSION_4 ? BODY_TDX_10 : bytes6(_word(quote, HEADER));
        require(
            (header == VERSION_4 || header == VERSION_5) && (descriptor == BODY_TDX_10 || descriptor == BODY_TDX_15),
            UnsupportedQuote(header, descriptor)
        );
        bytes16 vendor = bytes16(_word(quote, QE_VENDOR));
        require(vendor == INTEL, UnknownQeVendor(vendor));
        report = header == VERSION_4 ? HEADER : HEADER + BODY_DESCRIPTOR;
        unchecked {
            // small constants
            end = report + (descriptor == BODY_TDX_10 ? TD_REPORT_10 : TD_REPORT_15);
            require(quote.length == end + SIGNATURE_DATA, WrongQuoteLength(quote.length, end + SIGNATURE_DATA));
        }
    }

    /// The attestation key that signed a quote up to `end`, by its id.
    function _checkSignature(bytes calldata quote, uint256 end) private view returns (bytes20 key) {
        unchecked {
            // four words behind the size of the signature data
            bytes32 x = _word(quote, end + 68);
            bytes32 y = _word(quote, end + 100);
            require(
                EcdsaP256.isValid(sha256(quote[:end]), _word(quote, end + 4), _word(quote, end + 36), x, y),
                InvalidQuoteSignature()
            );
            return EcdsaP256.id(x, y);
        }
    }

    function _checkTrustDomain(bytes calldata quote, uint256 report, uint256 end) private pure {
        unchecked {
            // inside the report
            bytes8 attributes = bytes8(_word(quote, report + TD_ATTRIBUTES));
            require(
                attributes & ~ALLOWED_ATTRIBUTES == 0 && attributes & SEPT_VE_DISABLE != 0,
                ForbiddenTdAttributes(attributes)
            );
            if (end - report == TD_REPORT_10) return;
            bytes32 high = _word(quote, report + MR_SERVICE_TD);
            require(high == 0 && bytes16(_word(quote, report + MR_SERVICE_TD + 32)) == 0, ServiceTdBound());
        }
    }

    /// keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID), 48 bytes each.
    function _measurement(bytes calldata quote, uint256 report) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            let source := add(quote.offset, report)
            calldatacopy(buffer, add(source, MR_TD), 48)
            calldatacopy(add(buffer, 48), add(source, RT_MR_1), 96)
            calldatacopy(add(buffer, 144), add(source, MR_CONFIG_ID), 48)
            hash := keccak256(buffer, 192)
        }
    }

    /// The TDX module that a report names by the second byte of its TEE_TCB_SVN.
    function _module(bytes memory table, bytes16 tcbSvn) private pure returns (uint256 module) {
        bool found;
        (found, module) = TcbTable.find(table, uint8(tcbSvn[1]));
        require(found, UnknownTdxModule(uint8(tcbSvn[1])));
    }

    /// All that is said of platform, TDX module and quoting enclave.
    function _status(
        PlatformEvidence memory evidence,
        bytes memory table,
        uint256 module,
        bytes16 tcbSvn
    ) private pure returns (TcbStatus status) {
        bool found;
        (found, status) = TcbTable.platformStatus(table, evidence.cpuSvn, evidence.pceSvn, tcbSvn);
        require(found, NoTcbLevel());
        status = _combined(status, evidence.qeStatus);
        // the module of version 0 is judged by the first component of the platform's TDX SVNs
        if (tcbSvn[1] == 0) return status;
        TcbStatus moduleStatus;
        (found, moduleStatus) = TcbTable.moduleStatus(table, module, uint8(tcbSvn[0]));
        require(found, NoTcbLevel());
        return _combined(status, moduleStatus);
    }

    /// What holds of a part holds of the whole: each concern counts, out of date more than in need of hardening.
    function _combined(TcbStatus a, TcbStatus b) private pure returns (TcbStatus) {
        TcbStatus worst = a > b ? a : b;
        if (worst == TcbStatus.Revoked) return worst;
        if (worst < TcbStatus.OutOfDate) return TcbStatus(uint8(a) | uint8(b)); // 1: software, 2: configuration
        return
            _needsConfiguration(a) || _needsConfiguration(b)
                ? TcbStatus.OutOfDateConfigurationNeeded
                : TcbStatus.OutOfDate;
    }

    function _needsConfiguration(TcbStatus status) private pure returns (bool) {
        return
            status == TcbStatus.ConfigurationNeeded ||
            status == TcbStatus.ConfigurationAndSWHardeningNeeded ||
            status == TcbStatus.OutOfDateConfigurationNeeded;
    }

    /// 32 bytes at `offset`, which have to lie in the quote.
    function _word(bytes calldata quote, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(quote.offset, offset))
        }
    }
}
