// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {DataContract} from "../lib/DataContract.sol";
import {Uuid} from "../lib/Uuid.sol";
import {AccountSlot, AccountSlots} from "./AccountSlot.sol";
import {DeliverableRings, Ring, StoredDeliverable} from "./DeliverableRing.sol";
import {
    Deliverable,
    DeliverableState,
    DeliverableTerms,
    FineTuningAccount,
    FineTuningAccountSummary,
    FineTuningService,
    IFineTuningServing,
    Quota,
    VerifierInput
} from "./IFineTuningServing.sol";
import {ServingAccounts} from "./ServingAccounts.sol";
import {ServingProviders} from "./ServingProviders.sol";

/// @title Fine-tuning: services, delivered models and their settlement
/// @dev The balance is the sum of all sub-accounts, of all earnings, and of what is held for secrets that are owed.
contract FineTuningServing is IFineTuningServing, ServingAccounts, UUPSUpgradeable {
    /// One slot.
    struct Offer {
        /// Where the code is that holds the ABI encoding of URL, quota, price, occupied and models.
        address details;
        uint96 earnings;
    }

    /// @custom:storage-location erc7201:perigee.storage.FineTuningServing
    struct FineTuningStorage {
        mapping(address provider => Offer) offers;
        mapping(address provider => mapping(address user => Ring)) rings;
    }

    /// @notice Deliverables that are kept for a user and a provider.
    uint256 public constant DELIVERABLES = DeliverableRings.PLACES;
    /// @notice Seconds that a provider has to hand over the secret that was paid for late.
    uint256 public constant HAND_OVER_WINDOW = 1 days;
    /// Bytes.
    uint256 private constant SECRET_LENGTH = 129;
    /// Bytes.
    uint256 private constant MAX_DETAILS = 8192;

    uint256 private constant PENALTY_PERCENTAGE = 30;
    uint256 private constant MAX_ACKNOWLEDGEMENT_WINDOW = 6 hours;
    // solhint-disable gas-small-strings
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant NAME_HASH = keccak256("Perigee Fine-Tuning");
    bytes32 private constant VERSION_HASH = keccak256("1");
    bytes32 private constant SETTLEMENT_TYPE = keccak256(
        "Settlement(address provider,address user,string id,bytes32 modelRootHash,uint256 fee,uint256 nonce,bytes encryptedSecret)"
    );
    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.FineTuningServing"));
    // solhint-enable gas-small-strings

    /// @param registry the TeeSignerRegistry; none: every signer counts that a provider names
    /// @param bonds holds the providers' stake
    /// @param arbiter may take it for the faults of a provider
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address registry, address bonds, address arbiter) ServingProviders(registry, bonds, arbiter) {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    /// @param ledger moves users' money in and out
    /// @param lockTime_ seconds between asking money back and collecting it
    function initialize(address authority, address ledger, uint256 lockTime_) external initializer {
        require(authority != address(0), InvalidAddress(authority));
        __AccessManaged_init(authority);
        __ServingAccounts_init(ledger, lockTime_);
    }

    // ---- services

    /// @inheritdoc IFineTuningServing
    function addOrUpdateService(
        string calldata url,
        Quota calldata quota,
        uint256 pricePerToken,
        bool occupied,
        string[] calldata models,
        address teeSignerAddress
    ) external payable nonReentrant {
        bytes memory details = abi.encode(url, quota, pricePerToken, occupied, models);
        require(details.length <= MAX_DETAILS, DetailsTooLong(details.length, MAX_DETAILS));
        _storage().offers[msg.sender].details = DataContract.write(details);
        _openService(teeSignerAddress);
        emit ServiceUpdated(msg.sender, url, quota, pricePerToken, teeSignerAddress, occupied);
    }

    /// @inheritdoc IFineTuningServing
    function getService(address provider) external view returns (FineTuningService memory service) {
        require(serviceExists(provider), ServiceNotExist(provider));
        return _service(provider);
    }

    /// @inheritdoc IFineTuningServing
    function getAllServices() external view returns (FineTuningService[] memory services) {
        address[] memory providers = _allServices();
        services = new FineTuningService[](providers.length);
        for (uint256 i = 0; i < providers.length; ++i) services[i] = _service(providers[i]);
    }

    /// @inheritdoc IFineTuningServing
    function acknowledgeTEESignerByOwner(address provider) external view {
        _checkSigner(provider, _signerOf(provider), 0);
    }

    /// @inheritdoc IFineTuningServing
    function revokeTEESignerAcknowledgement(address provider) external pure {
        revert SignerAttestedByRegistry(provider);
    }

    function _service(address provider) private view returns (FineTuningService memory service) {
        (service.url, service.quota, service.pricePerToken, service.occupied, service.models) = abi.decode(
            DataContract.read(_storage().offers[provider].details),
            (string, Quota, uint256, bool, string[])
        );
        service.provider = provider;
        service.teeSignerAddress = _signerOf(provider);
        service.teeSignerAcknowledged = isInGoodStanding(provider);
    }

    function _clearService(address provider) internal override {
        _storage().offers[provider].details = address(0);
    }

    // ---- the provider

    /// @inheritdoc IFineTuningServing
    function addDeliverable(address user, string calldata id, bytes calldata modelRootHash, uint256 fee) external {
        uint256 balance = _existing(user, msg.sender).balance();
        require(fee <= balance, InsufficientBalance(user, msg.sender, balance, fee));
        require(modelRootHash.length == 32, InvalidRootHash(modelRootHash.length));
        Ring storage ring = _ring(user, msg.sender);
        uint256 ceiling = ring.feeCeiling;
        require(ceiling == 0 || fee <= ceiling, FeeAboveCeiling(fee, ceiling));

        bytes16 uuid = Uuid.parse(id);
        (StoredDeliverable storage stored, bool evicts) = ring.place(uuid);
        if (evicts) emit DeliverableEvicted(msg.sender, user, Uuid.format(stored.id), id, block.timestamp);
        (stored.id, stored.deliveredAt, stored.fee) = (uuid, uint40(block.timestamp), uint88(fee));
        stored.root = bytes32(modelRootHash);
        stored.signerOrData = _signerOf(msg.sender);
        stored.dueBy = uint40(block.timestamp + acknowledgementWindow());
        stored.state = DeliverableState.Delivered;
        emit DeliverableAdded(user, msg.sender, id, modelRootHash, block.timestamp);
    }

    /// @inheritdoc IFineTuningServing
    function settleFees(VerifierInput calldata verifierInput) external {
        _checkStake(msg.sender);
        address user = verifierInput.user;
        StoredDeliverable storage stored = _ring(user, msg.sender).find(verifierInput.id);
        DeliverableState state = stored.state;
        require(!DeliverableRings.isSettled(state), DeliverableAlreadySettled(verifierInput.id));
        _checkTerms(stored, verifierInput);
        // Of an account that was closed meanwhile there still is the nonce.
        AccountSlot slot = _slotOf(user, msg.sender);
        uint256 last = slot.nonce();
        require(
            verifierInput.nonce > last && verifierInput.nonce <= AccountSlots.MAX_NONCE,
            NonceNotNew(verifierInput.nonce, last)
        );
        slot = slot.withNonce(verifierInput.nonce);
        _checkSignature(stored, verifierInput);

        uint256 paid;
        if (state == DeliverableState.Delivered) (slot, paid) = _settlePenalty(stored, slot, verifierInput);
        else (slot, paid) = _settleInFull(stored, slot, verifierInput);
        _setSlot(user, msg.sender, slot);
        _storage().offers[msg.sender].earnings += uint96(paid);
        emit BalanceUpdated(user, msg.sender, slot.balance(), slot.pending());
        emit FeesSettled(
            user,
            msg.sender,
            verifierInput.id,
            paid,
            state != DeliverableState.Delivered,
            verifierInput.nonce
        );
    }

    /// The secret for the fee: out of the account, or what is held since the user paid late.
    function _settleInFull(
        StoredDeliverable storage stored,
        AccountSlot slot,
        VerifierInput calldata verifierInput
    ) private returns (AccountSlot, uint256 paid) {
        uint256 length = verifierInput.encryptedSecret.length;
        require(length == SECRET_LENGTH, InvalidSecretLength(length, SECRET_LENGTH));
        if (stored.state == DeliverableState.Owed) paid = stored.rest();
        else {
            paid = stored.fee;
            slot = _chargeAll(slot, verifierInput.user, msg.sender, paid);
        }
        stored.settle(verifierInput.encryptedSecret);
        return (slot, paid);
    }

    /// A part of the fee for the work, and no secret.
    function _settlePenalty(
        StoredDeliverable storage stored,
        AccountSlot slot,
        VerifierInput calldata verifierInput
    ) private returns (AccountSlot, uint256 paid) {
        uint256 acknowledgeBy = stored.dueBy;
        require(block.timestamp > acknowledgeBy, AcknowledgementPending(acknowledgeBy));
        require(verifierInput.encryptedSecret.length == 0, SecretShouldBeEmpty());
        (slot, paid) = _charge(slot, verifierInput.user, msg.sender, (stored.fee * PENALTY_PERCENTAGE) / 100);
        (stored.state, stored.penalty) = (DeliverableState.Penalised, uint88(paid));
        return (slot, paid);
    }

    function _checkTerms(StoredDeliverable storage stored, VerifierInput calldata verifierInput) private view {
        require(verifierInput.taskFee == stored.fee, FeeNotAsStated(stored.fee, verifierInput.taskFee));
        bytes calldata root = verifierInput.modelRootHash;
        require(root.length == 32 && bytes32(root) == stored.root, RootNotAsDelivered(stored.root));
    }

    /// The signer of the deliverable may be gone, and its successor have taken over its work.
    function _checkSignature(StoredDeliverable storage stored, VerifierInput calldata verifierInput) private view {
        bytes32 digest = MessageHashUtils.toTypedDataHash(
            _domainSeparator(),
            keccak256(
                abi.encode(
                    SETTLEMENT_TYPE,
                    msg.sender,
                    verifierInput.user,
                    keccak256(bytes(verifierInput.id)),
                    stored.root,
                    verifierInput.taskFee,
                    verifierInput.nonce,
                    keccak256(verifierInput.encryptedSecret)
                )
            )
        );
        // 0 for a signature that is none, and nobody's signer.
        (address signer, , ) = ECDSA.tryRecoverCalldata(digest, verifierInput.signature);
        require(
            (signer == stored.signerOrData || signer == _signerOf(msg.sender)) && _isAttested(signer, lockTime()),
            SignerNotAttested(msg.sender, signer)
        );
    }

    /// @inheritdoc IFineTuningServing
    function abandonDeliverable(address user, string calldata id) external {
        StoredDeliverable storage stored = _ring(user, msg.sender).find(id);
        DeliverableState state = stored.state;
        require(
            state == DeliverableState.Delivered || state == DeliverableState.Acknowledged,
            DeliverableAlreadySettled(id)
        );
        stored.state = DeliverableState.Abandoned;
        emit DeliverableAbandoned(user, msg.sender, id);
    }

    function _takeEarnings(address provider) internal override returns (uint256 amount) {
        Offer storage offer = _storage().offers[provider];
        amount = offer.earnings;
        offer.earnings = 0;
    }

    /// @notice Wei that `provider` can withdraw.
    function earningsOf(address provider) external view returns (uint256) {
        return _storage().offers[provider].earnings;
    }

    // ---- the user

    /// @inheritdoc IFineTuningServing
    function acknowledgeDeliverable(address provider, string calldata id) external {
        StoredDeliverable storage stored = _ring(msg.sender, provider).find(id);
        DeliverableState state = stored.state;
        if (DeliverableRings.isAcknowledged(state)) return;
        require(state != DeliverableState.Abandoned, CannotAcknowledgeSettledDeliverable(id));
        if (state == DeliverableState.Delivered) stored.state = DeliverableState.Acknowledged;
        else {
            AccountSlot slot = _chargeAll(_slotOf(msg.sender, provider), msg.sender, provider, stored.rest());
            _setSlot(msg.sender, provider, slot);
            stored.state = DeliverableState.Owed;
            stored.dueBy = uint40(block.timestamp + HAND_OVER_WINDOW);
            emit BalanceUpdated(msg.sender, provider, slot.balance(), slot.pending());
        }
        emit DeliverableAcknowledged(msg.sender, provider, id, block.timestamp);
    }

    /// @inheritdoc IFineTuningServing
    function reclaimDeliverable(address provider, string calldata id, address payable to) external {
        StoredDeliverable storage stored = _ring(msg.sender, provider).find(id);
        uint256 handOverBy = stored.dueBy;
        require(stored.state == DeliverableState.Owed && block.timestamp > handOverBy, NotReclaimable(handOverBy));
        uint256 amount = stored.rest();
        stored.state = DeliverableState.Penalised;
        emit DeliverableReclaimed(msg.sender, provider, id, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferFailed());
    }

    /// @inheritdoc IFineTuningServing
    function setFeeCeiling(address provider, uint256 ceiling) external {
        require(ceiling <= AccountSlots.MAX_BALANCE, AmountTooLarge(ceiling, AccountSlots.MAX_BALANCE));
        _ring(msg.sender, provider).feeCeiling = uint88(ceiling);
        emit FeeCeilingSet(msg.sender, provider, ceiling);
    }

    /// Reverts InsufficientBalance unless all of it can be charged.
    function _chargeAll(
        AccountSlot slot,
        address user,
        address provider,
        uint256 amount
    ) private returns (AccountSlot charged) {
        uint256 taken;
        (charged, taken) = _charge(slot, user, provider, amount);
        require(taken == amount, InsufficientBalance(user, provider, taken, amount));
    }

    // ---- views

    /// @inheritdoc IFineTuningServing
    function getAccount(address user, address provider) external view returns (FineTuningAccount memory account) {
        AccountSlot slot = _existing(user, provider);
        account.user = user;
        account.provider = provider;
        account.nonce = slot.nonce();
        account.balance = slot.balance();
        account.pendingRefund = slot.pending();
        account.refunds = _refundsOf(user, provider);
        account.additionalInfo = _additionalInfoOf(user);
        account.deliverables = _ring(user, provider).all();
        account.validRefundsLength = account.refunds.length;
        account.deliverablesCount = account.deliverables.length;
        account.acknowledged = slot.isAcknowledged();
    }

    /// @inheritdoc IFineTuningServing
    function getAllAccounts(
        uint256 offset,
        uint256 limit
    ) external view returns (FineTuningAccountSummary[] memory accounts, uint256 total) {
        address[] memory users;
        address[] memory providers;
        (users, providers, total) = _accountPage(offset, limit);
        accounts = new FineTuningAccountSummary[](users.length);
        for (uint256 i = 0; i < users.length; ++i) accounts[i] = _summary(users[i], providers[i]);
    }

    function _summary(address user, address provider) private view returns (FineTuningAccountSummary memory summary) {
        AccountSlot slot = _slotOf(user, provider);
        (uint256 oldest, uint256 end) = _ring(user, provider).span();
        summary.user = user;
        summary.provider = provider;
        summary.nonce = slot.nonce();
        summary.balance = slot.balance();
        summary.pendingRefund = slot.pending();
        summary.additionalInfo = _additionalInfoOf(user);
        summary.validRefundsLength = _refundsOf(user, provider).length;
        summary.deliverablesCount = end - oldest;
        summary.acknowledged = slot.isAcknowledged();
    }

    /// @inheritdoc IFineTuningServing
    function getDeliverable(
        address user,
        address provider,
        string calldata id
    ) external view returns (Deliverable memory) {
        return _ring(user, provider).find(id).show();
    }

    /// @inheritdoc IFineTuningServing
    function getDeliverables(address user, address provider) external view returns (Deliverable[] memory) {
        return _ring(user, provider).all();
    }

    /// @inheritdoc IFineTuningServing
    function termsOf(
        address user,
        address provider,
        string calldata id
    ) external view returns (DeliverableTerms memory) {
        return _ring(user, provider).find(id).terms();
    }

    /// @inheritdoc IFineTuningServing
    function feeCeiling(address user, address provider) external view returns (uint256) {
        return _ring(user, provider).feeCeiling;
    }

    /// @inheritdoc IFineTuningServing
    function penaltyPercentage() external pure returns (uint256) {
        return PENALTY_PERCENTAGE;
    }

    /// @inheritdoc IFineTuningServing
    function acknowledgementWindow() public view returns (uint256) {
        // Whoever asks for a refund when the model arrives must not have it before the provider can settle.
        return Math.min(MAX_ACKNOWLEDGEMENT_WINDOW, lockTime() / 2);
    }

    // ---- the rest

    function _ring(address user, address provider) private view returns (Ring storage) {
        return _storage().rings[provider][user];
    }

    function _domainSeparator() private view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, NAME_HASH, VERSION_HASH, block.chainid, address(this)));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _storage() private pure returns (FineTuningStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
