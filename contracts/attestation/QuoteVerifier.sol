// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

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

    uint256 private constant QE_VENDOR = 12;
    /// Intel, of the quoting enclave.
    bytes16 private constant INTEL = 0x939a7233f79c4ca9940a0db3957f0607;

    uint256 private constant ECDSA_P256 = 2;
    uint256 private constant TDX = 0x81;
    uint256 private constant BODY_TDX_10 = 2;
    uint256 private constant BODY_TDX_15 = 3;

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
        (bytes calldata report, bytes calldata signed) = _parse(quote);
        (PlatformEvidence memory evidence, uint40 index) = collateral.evidenceOf(_checkSignature(quote, signed));
        _checkTrustDomain(report);

        verdict.tcbSvn = bytes16(report[:16]);
        uint256 module = _module(evidence.tcbTable, verdict.tcbSvn);
        require(
            TcbTable.matches(
                evidence.tcbTable,
                module,
                bytes32(report[MR_SEAM_SIGNER:]),
                bytes16(report[MR_SEAM_SIGNER + 32:]),
                bytes8(report[SEAM_ATTRIBUTES:])
            ),
            WrongTdxModule(uint8(verdict.tcbSvn[1]))
        );
        verdict.status = _status(evidence, module, verdict.tcbSvn);
        verdict.evaluation = evidence.evaluation;
        verdict.until = evidence.until;
        verdict.attestationKey = index;
        verdict.pck = evidence.pck;
        verdict.measurement = keccak256(
            bytes.concat(report[MR_TD:MR_TD + 48], report[RT_MR_1:RT_MR_1 + 96], report[MR_CONFIG_ID:MR_CONFIG_ID + 48])
        );
        verdict.reportData = bytes32(report[REPORT_DATA:]);
        verdict.freshness = bytes32(report[REPORT_DATA + 32:]);
    }

    /// @inheritdoc IQuoteVerifier
    function standingOf(
        uint40 attestationKey,
        bytes16 tcbSvn
    ) external view returns (TcbStatus status, uint16 evaluation, uint40 until) {
        PlatformEvidence memory evidence = collateral.evidenceAt(attestationKey);
        status = _status(evidence, _module(evidence.tcbTable, tcbSvn), tcbSvn);
        return (status, evidence.evaluation, evidence.until);
    }

    /// The report in a quote, and all that is signed.
    function _parse(bytes calldata quote) private pure returns (bytes calldata report, bytes calldata signed) {
        require(quote.length >= HEADER + BODY_DESCRIPTOR, WrongQuoteLength(quote.length, HEADER + BODY_DESCRIPTOR));
        uint256 version = _littleEndian(quote, 0, 2);
        uint256 bodyType = BODY_TDX_10;
        uint256 bodySize = TD_REPORT_10;
        uint256 body = HEADER;
        if (version == 5) {
            bodyType = _littleEndian(quote, HEADER, 2);
            bodySize = _littleEndian(quote, HEADER + 2, 4);
            body += BODY_DESCRIPTOR;
        }
        uint256 expected = bodyType == BODY_TDX_10 ? TD_REPORT_10 : TD_REPORT_15;
        require(
            (version == 4 || version == 5) &&
                _littleEndian(quote, 2, 2) == ECDSA_P256 &&
                _littleEndian(quote, 4, 4) == TDX &&
                (bodyType == BODY_TDX_10 || bodyType == BODY_TDX_15) &&
                bodySize == expected,
            UnsupportedQuote(version, _littleEndian(quote, 2, 2), _littleEndian(quote, 4, 4), bodyType)
        );
        require(bytes16(quote[QE_VENDOR:]) == INTEL, UnknownQeVendor(bytes16(quote[QE_VENDOR:])));
        uint256 end = body + bodySize;
        require(quote.length == end + SIGNATURE_DATA, WrongQuoteLength(quote.length, end + SIGNATURE_DATA));
        return (quote[body:end], quote[:end]);
    }

    /// The attestation key that signed a quote, by its id.
    function _checkSignature(bytes calldata quote, bytes calldata signed) private view returns (bytes20 key) {
        uint256 offset = signed.length + 4;
        bytes32 x = bytes32(quote[offset + 64:]);
        bytes32 y = bytes32(quote[offset + 96:]);
        require(
            EcdsaP256.isValid(sha256(signed), bytes32(quote[offset:]), bytes32(quote[offset + 32:]), x, y),
            InvalidQuoteSignature()
        );
        return EcdsaP256.id(x, y);
    }

    function _checkTrustDomain(bytes calldata report) private pure {
        bytes8 attributes = bytes8(report[TD_ATTRIBUTES:]);
        require(
            attributes & ~ALLOWED_ATTRIBUTES == 0 && attributes & SEPT_VE_DISABLE != 0,
            ForbiddenTdAttributes(attributes)
        );
        if (report.length == TD_REPORT_10) return;
        require(bytes32(report[MR_SERVICE_TD:]) == 0 && bytes16(report[MR_SERVICE_TD + 32:]) == 0, ServiceTdBound());
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
        uint256 module,
        bytes16 tcbSvn
    ) private pure returns (TcbStatus status) {
        bool found;
        (found, status) = TcbTable.platformStatus(evidence.tcbTable, evidence.cpuSvn, evidence.pceSvn, tcbSvn);
        require(found, NoTcbLevel());
        status = _combined(status, evidence.qeStatus);
        // the module of version 0 is judged by the first component of the platform's TDX SVNs
        if (tcbSvn[1] == 0) return status;
        TcbStatus moduleStatus;
        (found, moduleStatus) = TcbTable.moduleStatus(evidence.tcbTable, module, uint8(tcbSvn[0]));
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

    function _littleEndian(bytes calldata quote, uint256 offset, uint256 size) private pure returns (uint256 value) {
        for (uint256 i = size; i != 0; --i) value = (value << 8) | uint8(quote[offset + i - 1]);
    }
}
