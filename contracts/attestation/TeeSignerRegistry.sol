// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IQuoteVerifier, Verdict} from "./IQuoteVerifier.sol";
import {ITeeSignerRegistry} from "./ITeeSignerRegistry.sol";
import {Registration, registration} from "./Registration.sol";
import {TcbStatus} from "./TcbStatus.sol";

/// @title Keys that live in attested trusted execution environments
/// @notice Upgradeable: others hold its address for long, and what attestation means will evolve. Governance says which code may register; whether a
/// signer is that code's is for the quote verifier, which governance can only replace with notice.
/// @dev Registrations end by themselves within `lifetime`, so nothing here is ever looped over: what removes many at once (a measurement) is a flag
/// that every use reads, what removes few (a platform, a TCB level) is found by `recheck`.
contract TeeSignerRegistry is ITeeSignerRegistry, AccessManagedUpgradeable, UUPSUpgradeable {
    /// What every registration reads. One slot.
    struct Config {
        address verifier;
        /// Position of the verifier among all there were.
        uint8 verifierPosition;
        /// Unix seconds at which the scheduled verifier follows; 0 if none is.
        uint40 nextVerifierAt;
        uint16 minimumEvaluation;
        /// Seconds.
        uint32 lifetime;
    }

    struct Signer {
        Registration registration;
        bytes32 encryptionKey;
        bytes32 tlsKey;
    }

    /// @custom:storage-location erc7201:perigee.storage.TeeSignerRegistry
    struct TeeSignerRegistryStorage {
        Config config;
        address nextVerifier;
        uint32 measurementCount;
        mapping(uint8 position => address) verifiers;
        mapping(bytes32 measurement => uint32 position) positions;
        mapping(uint32 position => bytes32 measurement) measurements;
        /// A bit for every position.
        mapping(uint256 word => uint256 bits) removed;
        mapping(address signer => Signer) signers;
    }

    /// @notice Longest lifetime of a registration, in seconds.
    uint256 public constant MAX_LIFETIME = 7 days;
    /// @notice Seconds between the scheduling of a verifier and its use: longer than what is bonded on the word of the present one stays locked.
    uint256 public constant VERIFIER_NOTICE = 21 days;
    /// @notice First part of what REPORTDATA hashes.
    bytes32 public constant REPORT_DATA_DOMAIN = keccak256("PERIGEE_TEE_SIGNER_V1");

    TcbStatus private constant WORST_ACCEPTED = TcbStatus.SWHardeningNeeded;

    // solhint-disable-next-line gas-small-strings
    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.TeeSignerRegistry"));

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    /// @param verifier_ an IQuoteVerifier
    /// @param lifetime_ seconds after which a registration has to be renewed, at most MAX_LIFETIME: InvalidLifetime
    /// @param minimumEvaluation_ see setMinimumEvaluation
    /// @param allowed measurements of the code that may register, see allowMeasurement
    function initialize(
        address authority,
        address verifier_,
        uint256 lifetime_,
        uint256 minimumEvaluation_,
        bytes32[] calldata allowed
    ) external initializer {
        require(lifetime_ != 0 && lifetime_ <= MAX_LIFETIME, InvalidLifetime(lifetime_, MAX_LIFETIME));
        __AccessManaged_init(authority);
        TeeSignerRegistryStorage storage $ = _registryStorage();
        _checkVerifier(verifier_);
        $.config.verifier = verifier_;
        $.config.lifetime = uint32(lifetime_);
        $.verifiers[0] = verifier_;
        _setMinimumEvaluation(minimumEvaluation_);
        for (uint256 i; i < allowed.length; ++i) _allow(allowed[i]);
    }

    // ---- signers

    /// @inheritdoc ITeeSignerRegistry
    function register(
        bytes calldata quote,
        address signer,
        bytes32 encryptionKey,
        bytes32 tlsKey,
        uint256 blockNumber
    ) external returns (uint64 until) {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        Signer storage state = $.signers[signer];
        Registration before = state.registration;
        require(signer != address(0), InvalidSigner());
        require(!before.isRevoked(), RevokedSigner(signer));
        require(blockNumber > before.freshBlock(), QuoteAlreadyUsed(signer, blockNumber));

        Config memory config = _useScheduledVerifier($);
        Verdict memory verdict = IQuoteVerifier(config.verifier).verify(quote);
        _checkStanding(verdict.status, verdict.evaluation, config.minimumEvaluation);
        uint32 position = $.positions[verdict.measurement];
        require(position != 0, MeasurementNotAllowed(verdict.measurement));
        bytes32 expected = reportDataOf(signer, encryptionKey, tlsKey);
        require(verdict.reportData == expected, WrongReportData(verdict.reportData, expected));
        // A block that is not among the last 256 has the hash 0.
        require(verdict.freshness != 0 && verdict.freshness == blockhash(blockNumber), NotFresh(blockNumber));

        until = uint64(block.timestamp + config.lifetime);
        if (verdict.until < until) until = verdict.until;
        state.registration = registration({
            until_: until,
            registeredAt_: block.timestamp,
            freshBlock_: blockNumber,
            attestationKey_: verdict.attestationKey,
            measurement_: position,
            verifier_: config.verifierPosition,
            status: verdict.status,
            tcbSvn_: verdict.tcbSvn
        });
        state.encryptionKey = encryptionKey;
        state.tlsKey = tlsKey;
        emit SignerRegistered(signer, verdict.measurement, encryptionKey, tlsKey, until, uint8(verdict.status));
    }

    /// @inheritdoc ITeeSignerRegistry
    function revoke(address signer) external {
        if (msg.sender != signer) _checkCanCall(msg.sender, msg.data);
        TeeSignerRegistryStorage storage $ = _registryStorage();
        Registration current = $.signers[signer].registration;
        require(!current.isRevoked(), RevokedSigner(signer));
        $.signers[signer].registration = current.revoked();
        emit SignerRevoked(signer);
    }

    /// @inheritdoc ITeeSignerRegistry
    function recheck(address signer) external {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        Registration current = $.signers[signer].registration;
        require(current.until() != 0, UnknownSigner(signer));
        require(!_suffices($, current), StillGood(signer));
        $.signers[signer].registration = current.ended();
        emit SignerLapsed(signer);
    }

    /// @inheritdoc ITeeSignerRegistry
    function attestedUntil(address signer) external view returns (uint64) {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        Registration current = $.signers[signer].registration;
        uint64 until = current.until();
        return until == 0 || _isRemoved($, current.measurement()) ? 0 : until;
    }

    /// @inheritdoc ITeeSignerRegistry
    function signerOf(address signer) external view returns (TeeSigner memory described) {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        Registration current = $.signers[signer].registration;
        described.revoked = current.isRevoked();
        if (current.registeredAt() == 0) return described;
        described.measurement = $.measurements[current.measurement()];
        described.platform = IQuoteVerifier($.verifiers[current.verifier()]).collateral().platformAt(
            current.attestationKey()
        );
        described.encryptionKey = $.signers[signer].encryptionKey;
        described.tlsKey = $.signers[signer].tlsKey;
        described.registeredAt = current.registeredAt();
        described.until = _isRemoved($, current.measurement()) ? 0 : current.until();
        described.tcbStatus = uint8(current.tcbStatus());
    }

    /// @inheritdoc ITeeSignerRegistry
    function reportDataOf(address signer, bytes32 encryptionKey, bytes32 tlsKey) public view returns (bytes32) {
        return keccak256(abi.encode(REPORT_DATA_DOMAIN, block.chainid, address(this), signer, encryptionKey, tlsKey));
    }

    // ---- measurements

    /// @inheritdoc ITeeSignerRegistry
    function allowMeasurement(bytes32 measurement) external restricted {
        _allow(measurement);
    }

    /// @inheritdoc ITeeSignerRegistry
    function removeMeasurement(bytes32 measurement) external restricted {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        uint32 position = $.positions[measurement];
        require(position != 0, MeasurementNotAllowed(measurement));
        delete $.positions[measurement];
        $.removed[position >> 8] |= 1 << (position & 0xff);
        emit MeasurementRemoved(measurement);
    }

    /// @inheritdoc ITeeSignerRegistry
    function isAllowed(bytes32 measurement) external view returns (bool) {
        return _registryStorage().positions[measurement] != 0;
    }

    // ---- policy

    /// @inheritdoc ITeeSignerRegistry
    function setVerifier(address verifier_) external restricted {
        _checkVerifier(verifier_);
        TeeSignerRegistryStorage storage $ = _registryStorage();
        _useScheduledVerifier($);
        uint256 effectiveAt = block.timestamp + VERIFIER_NOTICE;
        $.nextVerifier = verifier_;
        $.config.nextVerifierAt = uint40(effectiveAt);
        emit VerifierScheduled(verifier_, effectiveAt);
    }

    /// @inheritdoc ITeeSignerRegistry
    function verifier() public view returns (address) {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        return _isDue($.config.nextVerifierAt) ? $.nextVerifier : $.config.verifier;
    }

    /// @inheritdoc ITeeSignerRegistry
    function scheduledVerifier() external view returns (address verifier_, uint256 effectiveAt) {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        effectiveAt = $.config.nextVerifierAt;
        return effectiveAt == 0 || _isDue(effectiveAt) ? (address(0), 0) : ($.nextVerifier, effectiveAt);
    }

    /// @inheritdoc ITeeSignerRegistry
    function setMinimumEvaluation(uint256 evaluation) external restricted {
        _setMinimumEvaluation(evaluation);
    }

    /// @inheritdoc ITeeSignerRegistry
    function minimumEvaluation() external view returns (uint256) {
        return _registryStorage().config.minimumEvaluation;
    }

    /// @notice Seconds after which a registration has to be renewed, at most.
    function lifetime() external view returns (uint256) {
        return _registryStorage().config.lifetime;
    }

    /// @inheritdoc ITeeSignerRegistry
    function development() external view returns (bool) {
        return IQuoteVerifier(verifier()).development();
    }

    // ---- internal

    /// What a registration rests on is in force, and good enough.
    function _suffices(TeeSignerRegistryStorage storage $, Registration current) private view returns (bool) {
        try
            IQuoteVerifier($.verifiers[current.verifier()]).standingOf(current.attestationKey(), current.tcbSvn())
        returns (TcbStatus status, uint16 evaluation, uint40) {
            return status <= WORST_ACCEPTED && evaluation >= $.config.minimumEvaluation;
        } catch (bytes memory reason) {
            // A reason is an answer. Silence is a call that ran out of the gas its sender gave it, which must not end anybody's registration.
            require(reason.length != 0, StandingUnknown());
            return false;
        }
    }

    function _checkStanding(TcbStatus status, uint256 evaluation, uint256 minimum) private pure {
        require(status <= WORST_ACCEPTED, TcbNotAccepted(uint8(status)));
        require(evaluation >= minimum, EvaluationTooOld(evaluation, minimum));
    }

    function _isRemoved(TeeSignerRegistryStorage storage $, uint256 position) private view returns (bool) {
        return ($.removed[position >> 8] >> (position & 0xff)) & 1 != 0;
    }

    /// The configuration, after the scheduled verifier has followed if it is due.
    function _useScheduledVerifier(TeeSignerRegistryStorage storage $) private returns (Config memory config) {
        config = $.config;
        if (!_isDue(config.nextVerifierAt)) return config;
        config.verifier = $.nextVerifier;
        ++config.verifierPosition;
        config.nextVerifierAt = 0;
        $.config = config;
        $.verifiers[config.verifierPosition] = config.verifier;
    }

    function _isDue(uint256 time) private view returns (bool) {
        return time != 0 && block.timestamp >= time;
    }

    function _checkVerifier(address verifier_) private view {
        require(verifier_.code.length != 0, InvalidVerifier(verifier_));
        // Reverts for anything that is not a verifier.
        IQuoteVerifier(verifier_).development();
    }

    function _allow(bytes32 measurement) private {
        TeeSignerRegistryStorage storage $ = _registryStorage();
        require($.positions[measurement] == 0, MeasurementAlreadyAllowed(measurement));
        uint32 position = ++$.measurementCount;
        $.positions[measurement] = position;
        $.measurements[position] = measurement;
        emit MeasurementAllowed(measurement);
    }

    function _setMinimumEvaluation(uint256 evaluation) private {
        require(evaluation <= type(uint16).max, EvaluationTooOld(type(uint16).max, evaluation));
        _registryStorage().config.minimumEvaluation = uint16(evaluation);
        emit MinimumEvaluationSet(evaluation);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _registryStorage() private pure returns (TeeSignerRegistryStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
